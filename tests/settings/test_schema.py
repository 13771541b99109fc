"""The schema: complete, consistent, and honest about what is not there yet."""

from __future__ import annotations

import pytest

from mailward.settings.key import Effect, Key, Shape
from mailward.settings.places import locate
from mailward.settings.schema import SCHEMA
from tests.settings.sample import faults


def example(key: Key[object]) -> str:
    names = {"<id>": "imap", "<network>": "192.0.2.1", "<name>": "admin", "<path>": "/jmap"}
    flat = key.pattern
    for place, name in names.items():
        flat = flat.replace(place, name)
    return flat


def ids(key: Key[object]) -> str:
    return key.pattern


def test_no_two_keys_are_one() -> None:
    assert len({key.stem for key in SCHEMA}) == len(SCHEMA)


@pytest.mark.parametrize("key", SCHEMA, ids=ids)
def test_every_key_is_found_and_explained(key: Key[object]) -> None:
    assert locate(example(key)).key is key
    assert key.help
    assert key.help == key.help.strip(" .")
    assert key.pattern.endswith(">") == (key.shape is not Shape.ONE)


@pytest.mark.parametrize("key", SCHEMA, ids=ids)
def test_every_default_is_a_value_the_key_takes(key: Key[object]) -> None:
    assert key.takes
    if key.default is not None:
        key.read(key.default)


@pytest.mark.parametrize("key", [k for k in SCHEMA if k.shape is Shape.ONE], ids=ids)
def test_every_key_of_the_file_is_read(key: Key[object]) -> None:
    table, _, name = example(key).rpartition(".")
    found = faults(f'[{table}]\n{name} = " "\n')
    assert any(fault.startswith(f"mail.toml:2: {table}.{name}: ") for fault in found) or (
        key.name in {"path", "socket", "cert", "private-key"}
    )


def test_what_is_felt_when() -> None:
    by_effect = {effect: {key.stem for key in SCHEMA if key.effect is effect} for effect in Effect}
    assert by_effect[Effect.NOW] == {
        "server.security.blocked-networks",
        "server.security.blocked-logins",
        "server.security.blocked-operators",
        "server.security.allowed-networks",
    }
    assert by_effect[Effect.RESTART] == {
        "store.type",
        "store.path",
        "management.socket",
        "backend.embedded.path",
    }
