"""Failures of registry requests: reported to waiting pods, and cached for a while."""

from __future__ import annotations

from webhook.core.images import Unavailable
from webhook.core.reasons import Reason
from webhook.core.text import quoted


class Failed(Exception):
    """The lookup failed; `seconds` is for how long, if known.

    `passes` means that a retry may succeed.
    """

    def __init__(self, reason: Reason, detail: str, seconds: float | None = None, *, passes: bool = False) -> None:
        super().__init__(reason.value)
        self.unavailable = Unavailable(reason, detail)
        self.seconds = seconds
        self.passes = passes

    @property
    def reason(self) -> Reason:
        """The reason."""
        return self.unavailable.reason


def shown(text: str) -> str:
    """Return external text in a form for sentences: short, printable, on one line."""
    return quoted(text)[1:-1]
