"""JSON that is written in pieces is the JSON that is written at once."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from mailward_mailbox.jmap.http.reply import json_octets


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=3), below),
        max_leaves=20,
    ),
    st.sampled_from([0, 1, 300_000]),
)
def test_json_is_the_same_in_pieces(value: object, filled: int) -> None:
    whole = [value, "ä\n" * filled, {"a": [value] * 3, "b": ["x" * 1_000] * (filled // 500)}, []]
    assert json.loads(json_octets(whole)) == whole
