"""JSON values as plain data."""

from __future__ import annotations

import json
from typing import Any


def is_json(value: Any) -> bool:
    """Tell whether a value can be written as JSON and is read as the same value."""
    try:
        return is_identical(json.loads(json.dumps(value)), value)
    except TypeError:
        return False


def is_identical(one: Any, other: Any) -> bool:
    """Tell whether plain data are equal and of the same types; all string types count as one."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(map(is_identical, one.values(), (other[key] for key in one)))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_identical, one, other))
    return bool(one == other)
