"""Loads the cases: YAML files with pods or their changes, and the expected results."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.drains.pods import START, pod
from webhook.drains.reflector import PodChange, PodDeleted, PodsListed, PodUpdated
from webhook.drains.report import no_drains_message, table
from webhook.drains.selected_drains import SelectedDrains
from webhook.drains.targets import Target, read_target
from webhook.drains.tracker import DrainEvent

FOLDER = Path(__file__).parent


def cases(folder: str) -> dict[str, Any]:
    return {path.stem: YAML(typ="safe").load(path) for path in sorted((FOLDER / folder).glob("*.yaml"))}


def targets_of(case: dict[str, Any]) -> list[Target]:
    return [read_target(text) for text in case.get("targets", ())]


def selected_drains_of(case: dict[str, Any]) -> SelectedDrains:
    """Apply the pods of a case, one namespace after the other, and return the selected drains."""
    namespaces = case.get("namespaces", [""])
    selected = SelectedDrains(namespaces, targets_of(case))
    for namespace in namespaces:
        pods = [pod(**each) for each in case["pods"] if namespace in ("", each.get("namespace", "shop"))]
        assert list(selected.apply(namespace, PodsListed(pods))) or selected.is_idle
    return selected


def moment(second: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=second)


def printed(case: dict[str, Any]) -> str:
    """Return the output of `graceful-worker drains` for a case."""
    selected = selected_drains_of(case)
    if selected.is_idle:
        return no_drains_message(selected.protected_pods, case.get("namespaces", [""]), targets_of(case)) + "\n"
    return "".join(f"{line}\n" for line, _ in table(selected.draining, moment(case["now"])))


def apply_step(selected: SelectedDrains, step: dict[str, Any]) -> Iterator[DrainEvent]:
    """Apply a step of a stream: add, change or delete a pod, or list all of them."""
    ((kind, given),) = step.items()
    yield from selected.apply("", _change(kind, given))


def _change(kind: str, given: Any) -> PodChange:
    match kind:
        case "list":
            return PodsListed([pod(**each) for each in given])
        case "delete":
            return PodDeleted(pod(**given))
        case _:
            return PodUpdated(pod(**given))
