"""Which part of a history is meant: that of namespaces, and of owners."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from webhook.core.ownership import Owner
from webhook.drains.selection import Target, is_selected
from webhook.history.evidence import Evidence, History


def select(history: History, namespaces: Collection[str], targets: Collection[Target]) -> History:
    """Keep what is meant; the empty namespace stands for all."""
    kept = tuple(each for each in history.evidence if _is_meant(each, namespaces, targets))
    return msgspec.structs.replace(history, evidence=kept)


def _is_meant(evidence: Evidence, namespaces: Collection[str], targets: Collection[Target]) -> bool:
    workload = evidence.workload
    if "" not in namespaces and workload.namespace not in namespaces:
        return False
    return is_selected(targets, owner=Owner(workload.owner_kind, workload.owner), pod="", node="")
