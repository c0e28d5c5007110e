"""The exceptions of the core.

Exception
├── Refused           the pod cannot be protected, and what its author can change
└── ValueError
    └── Malformed     the object is not a valid pod, eviction or node
"""

from __future__ import annotations

from webhook.core.reasons import Finding, Reason


class Refused(Exception):
    """The pod is refused: the reason, the container if it concerns one, and what to write instead."""

    def __init__(self, reason: Reason, container: str = "", detail: str = "") -> None:
        super().__init__(reason.value)
        self.finding = Finding(reason, container, detail)


class Malformed(ValueError):
    """The object does not have the required form; the message says where, and what was expected."""
