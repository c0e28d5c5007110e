"""The time that the API server waits for an answer, which it tells in the URL, less what the answer's way takes."""

from __future__ import annotations

import re

DEFAULT_SECONDS = 10.0
"""What Kubernetes takes where a configuration has no timeoutSeconds."""
_MARGIN = 0.1
_LEAST_MARGIN = 0.5
"""Of the time, and in seconds: for the way back, and for whatever else is to be answered just then."""
# A duration as Go writes it; timeoutSeconds are whole seconds, from 1 to 30.
# https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#timeouts
_TIMEOUT = re.compile(rb"(?:^|&)timeout=(\d{1,6}(?:\.\d{1,9})?)(ms|s|m)(?:&|$)")
_UNITS = {b"ms": 0.001, b"s": 1.0, b"m": 60.0}


def seconds_to_answer(query: bytes) -> float:
    """Return how many seconds after a request's begin its answer must be there."""
    match = _TIMEOUT.search(query)
    timeout = float(match[1]) * _UNITS[match[2]] if match else DEFAULT_SECONDS
    return max(timeout - max(timeout * _MARGIN, _LEAST_MARGIN), 0.0)
