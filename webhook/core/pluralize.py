"""Numbers in sentences."""

from __future__ import annotations


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 pod` or `2 pods`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
