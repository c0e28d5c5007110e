"""How long a look-up may take: what the API server says in the URL, less a margin and what has been spent."""

from __future__ import annotations

import pytest

from webhook.server.deadline import seconds_left


@pytest.mark.parametrize(
    ("query", "spent", "left"),
    [
        (b"timeout=10s", 0, 9),
        (b"timeout=5s", 0, 4.5),
        (b"timeout=1s", 0, 0.5),
        (b"timeout=30s", 2, 25),
        (b"dryRun=All&timeout=10s&x=1", 0, 9),
        (b"timeout=1m", 0, 54),
        (b"timeout=2500ms", 0, 2),
        (b"timeout=1.5s", 0, 1),
        (b"timeout=1s", 3, 0),
        # Nothing, or nothing that can be read: what Kubernetes takes by default.
        (b"", 0, 9),
        (b"timeout=soon", 0, 9),
        (b"timeout=-1s", 0, 9),
        (b"timeout=99999999999999999999s", 0, 9),
        (b"xtimeout=1s", 0, 9),
    ],
)
def test_seconds_left(query: bytes, spent: float, left: float) -> None:
    assert seconds_left(query, spent) == pytest.approx(left)
