"""The exceptions of this package.

* WatchUnavailable
* InvalidMetrics
"""

from __future__ import annotations


class WatchUnavailable(Exception):
    """There is no watch, or it cannot be read; the message says why."""


class InvalidMetrics(ValueError):
    """The text is not the metrics of a watch."""
