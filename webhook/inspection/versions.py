"""Compares the version that protected a pod with the running version."""

from __future__ import annotations

import re
from collections.abc import Iterable

from webhook.inspection.installation_checks import running_versions
from webhook.inspection.snapshot import Snapshot, WorkerPod


def newest_version(snapshot: Snapshot, protected: Iterable[WorkerPod]) -> str:
    """Return the running version; if no image shows it, the newest that protected a pod, else empty."""
    return max(running_versions(snapshot) or [pod.version for pod in protected], key=_order, default="")


def is_before(version: str, other: str) -> bool:
    """Tell whether a version is older than another one."""
    return _order(version) < _order(other)


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
