"""Why a question to a registry fails: told to whoever waits, and remembered for a while."""

from __future__ import annotations

from webhook.core.images import Unavailable
from webhook.core.reasons import Reason
from webhook.core.refusal import quoted


class Failed(Exception):
    """The image cannot be learned; `seconds` is how long that will be so, where it is known.

    `passes` tells that the same question may well be answered when it is asked again.
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
    """Return what somebody else has written so that it can be shown in a sentence: short, printable, on one line."""
    return quoted(text)[1:-1]
