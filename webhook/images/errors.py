"""The exceptions of image lookups.

* LookupFailed
* ValueError
  * InvalidReference
  * InvalidTable
* OSError
  * DnsTimeout
  * TooManyDnsQueries
"""

from __future__ import annotations

from webhook.core.formatting import quoted
from webhook.core.image_config import Unavailable
from webhook.core.reasons import Reason


class LookupFailed(Exception):
    """A lookup failed: the reason and details are reported to waiting pods, and cached for a while.

    `retryable` means that a retry may succeed; `cache_seconds` is how long to cache the failure, None for the default.
    """

    def __init__(
        self, reason: Reason, detail: str, cache_seconds: float | None = None, *, retryable: bool = False
    ) -> None:
        super().__init__(reason.value)
        self.unavailable = Unavailable(reason, detail)
        self.cache_seconds = cache_seconds
        self.retryable = retryable

    @property
    def reason(self) -> Reason:
        """The reason."""
        return self.unavailable.reason


class InvalidReference(ValueError):
    """The image name is not valid; the message says why."""


class InvalidTable(ValueError):
    """The operator's table is not valid; the message says where, why, and what to write."""


class DnsTimeout(OSError):
    """DNS did not respond in time."""


class TooManyDnsQueries(OSError):
    """Too many queries without a response."""


def printable(text: str) -> str:
    """Return external text in a form for sentences: short, printable, on one line."""
    return quoted(text)[1:-1]
