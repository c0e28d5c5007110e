"""The time limit of an image lookup: the timeout in the API server's URL, less a margin."""

from __future__ import annotations

import pytest

from webhook.server.review_handler import seconds_to_respond


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (b"timeout=10s", 9),
        (b"timeout=5s", 4.5),
        (b"timeout=1s", 0.5),
        (b"timeout=30s", 27),
        (b"dryRun=All&timeout=10s&x=1", 9),
        (b"timeout=1m", 54),
        (b"timeout=2500ms", 2),
        (b"timeout=1.5s", 1),
        (b"timeout=100ms", 0),
        # The timeout is missing or invalid: the default of Kubernetes counts.
        (b"", 9),
        (b"timeout=soon", 9),
        (b"timeout=-1s", 9),
        (b"timeout=99999999999999999999s", 9),
        (b"xtimeout=1s", 9),
    ],
)
def test_the_time_limit_of_a_lookup_follows_the_timeout_of_the_api_server(query: bytes, seconds: float) -> None:
    assert seconds_to_respond(query) == pytest.approx(seconds)
