"""The exceptions of this package.

* ExpectedError (certs.errors)
  · Expired
* WaitFailed
"""

from __future__ import annotations

from certs.errors import ExpectedError


class Expired(ExpectedError):
    """The API server no longer knows a resource version: all pods have to be listed again."""


class WaitFailed(Exception):
    """There is nothing to wait for, or it will not happen; the message says why."""
