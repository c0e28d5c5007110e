"""Exceptions of reads from, and changes to, a cluster.

ClusterError
├── ClusterUnavailable
├── Forbidden
└── PatchRejected
"""

from __future__ import annotations


class ClusterError(Exception):
    """A request to the API server fails."""


class ClusterUnavailable(ClusterError):
    """The cluster cannot be read; the message says why."""


class PageTooLarge(ClusterUnavailable):
    """A response exceeds the limit; with fewer objects, it may not."""


class Forbidden(ClusterError):
    """A permission is missing; the message names it."""


class PatchRejected(ClusterError):
    """A change is rejected: a permission is missing, a policy forbids it, or the object does not exist."""
