"""Counting the values of a JSON text: exact outside of strings, whatever is inside them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.core.json_size import has_more_values

ODD_TEXT = st.text(st.sampled_from('",[]{}\\u\n&a'), max_size=30)
VALUES = st.recursive(
    st.none() | st.integers() | ODD_TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(ODD_TEXT, inner, max_size=5),
    max_leaves=30,
)


def strings_and_others(value: Any) -> tuple[int, int]:
    """Count strings, and what other values are counted by: objects, arrays, and the commas between elements."""
    if isinstance(value, str):
        return 1, 0
    if not isinstance(value, list | dict):
        return 0, 0
    parts = [strings_and_others(part) for part in (value.values() if isinstance(value, dict) else value)]
    strings = sum(part[0] for part in parts) + (len(value) if isinstance(value, dict) else 0)
    return strings, sum(part[1] for part in parts) + 1 + max(len(value) - 1, 0)


@given(VALUES, st.integers(0, 60), st.booleans())
def test_values_are_counted_exactly(value: Any, limit: int, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped).encode()
    assert has_more_values(text, limit) is any(count > limit for count in strings_and_others(value))


@pytest.mark.parametrize("text", ['","', r"\",\"", "{[,", r"\\\\"])
def test_what_is_inside_a_string_is_not_counted(text: str) -> None:
    assert not has_more_values(json.dumps([text * 1000]).encode(), 3)
