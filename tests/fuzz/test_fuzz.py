"""No octets make a parser do what its documentation does not say. See ``targets``."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutants import mutants
from tests.fuzz.targets import TARGETS, corpus


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_read_without_a_fault(name: str) -> None:
    driver, inputs = TARGETS[name]
    for octets in corpus(inputs):
        driver(octets)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutants_of_the_corpus_are_read_without_a_fault(name: str, data: st.DataObject) -> None:
    driver, inputs = TARGETS[name]
    driver(data.draw(mutants(corpus(inputs))))
