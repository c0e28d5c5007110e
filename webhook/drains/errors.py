"""The exceptions of this package."""

from __future__ import annotations


class WaitFailed(Exception):
    """There is nothing to wait for, or it will not happen; the message says why."""
