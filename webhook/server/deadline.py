"""The deadline for a response: the API server's timeout from the URL, less a margin for the way back."""

from __future__ import annotations

import re

DEFAULT_SECONDS = 10.0
"""Kubernetes' default for a configuration without timeoutSeconds."""
_MARGIN = 0.1
_LEAST_MARGIN = 0.5
"""A share of the timeout, and a minimum in seconds: for the way back, and for other requests in progress."""
# A duration in Go's format; timeoutSeconds are whole seconds from 1 to 30.
# https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#timeouts
_TIMEOUT = re.compile(rb"(?:^|&)timeout=(\d{1,6}(?:\.\d{1,9})?)(ms|s|m)(?:&|$)")
_UNITS = {b"ms": 0.001, b"s": 1.0, b"m": 60.0}


def seconds_to_answer(query: bytes) -> float:
    """Return how many seconds after the start of a request its response is due."""
    match = _TIMEOUT.search(query)
    timeout = float(match[1]) * _UNITS[match[2]] if match else DEFAULT_SECONDS
    return max(timeout - max(timeout * _MARGIN, _LEAST_MARGIN), 0.0)
