"""The exceptions of this package.

* Trouble (certs.repetition)
  · Expired
* WaitFailed
"""

from __future__ import annotations

from certs.repetition import Trouble


class Expired(Trouble):
    """The API server no longer knows a resource version: all pods have to be listed again."""


class WaitFailed(Exception):
    """There is nothing to wait for, or it will not happen; the message says why."""
