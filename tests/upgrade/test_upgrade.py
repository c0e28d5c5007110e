"""Pods that an earlier version injected are unchanged or repaired, never refused, and can be restored."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from tests.upgrade.record import FOLDER
from webhook import __version__
from webhook.cli.commands import main
from webhook.core.annotations import STATUS_ANNOTATION
from webhook.core.injection import Injection, inject
from webhook.core.policy import Policy
from webhook.core.reasons import Kind, Reason
from webhook.core.uninject import restore
from webhook.core.wrapper import find_wrapper

RECORDED = sorted(FOLDER.glob("*/*.yaml"))
OLDER = "# as it was"
Pod = dict[str, Any]

every_recorded = pytest.mark.parametrize("file", RECORDED, ids=lambda file: f"{file.parent.name}-{file.stem}")


def read(file: Path) -> tuple[Pod, Pod]:
    content = YAML(typ="safe", pure=True).load(file)
    return content["original"], content["injected"]


def reviewed(pod: Pod) -> Injection:
    return inject(pod, Policy())


def after(pod: Pod, operations: list[Any]) -> Pod:
    changed: Pod = jsonpatch.apply_patch(pod, operations)
    return changed


def normalized(value: Any) -> Any:
    """Leave out what may differ between versions: the text of the scripts, and the version in the status annotation."""
    if isinstance(value, dict):
        return {key: record(item) if key == STATUS_ANNOTATION else normalized(item) for key, item in value.items()}
    if isinstance(value, list):
        ours = find_wrapper(value) if all(isinstance(item, str) for item in value) else None
        return [normalized("<script>" if ours and place == ours[0] + 2 else item) for place, item in enumerate(value)]
    return value


def record(text: str) -> Pod:
    return {key: value for key, value in json.loads(text).items() if key != "version"}


def with_record(pod: Pod, **fields: Any) -> Pod:
    """Return a pod with other values for some fields of its status annotation."""
    changed = deepcopy(pod)
    annotations = changed["metadata"]["annotations"]
    annotations[STATUS_ANNOTATION] = json.dumps({**json.loads(annotations[STATUS_ANNOTATION]), **fields})
    return changed


def with_older_scripts(value: Any) -> Any:
    """Change the text of each script, as if the script had been fixed since."""
    if isinstance(value, dict):
        return {key: with_older_scripts(item) for key, item in value.items()}
    if isinstance(value, list):
        ours = find_wrapper(value) if all(isinstance(item, str) for item in value) else None
        return [
            f"{OLDER}\n{item}" if ours and place == ours[0] + 2 else with_older_scripts(item)
            for place, item in enumerate(value)
        ]
    return value


def test_the_first_version_is_recorded() -> None:
    assert len({file for file in RECORDED if file.parent.name == "0.1.0"}) >= 12


@every_recorded
def test_a_recorded_pod_names_the_version_that_injected_it(file: Path) -> None:
    original, injected = read(file)
    assert STATUS_ANNOTATION not in original["metadata"].get("annotations", {})
    assert json.loads(injected["metadata"]["annotations"][STATUS_ANNOTATION])["version"] == file.parent.name


@every_recorded
def test_only_outdated_scripts_of_a_recorded_pod_are_changed(file: Path) -> None:
    _, injected = read(file)
    review = reviewed(injected)
    assert review.decision.outcome is Kind.PROTECTED
    healed = after(injected, review.patch)
    assert normalized(healed) == normalized(injected)
    assert reviewed(healed).patch == []


@every_recorded
def test_an_outdated_script_is_replaced_by_the_current_one(file: Path) -> None:
    _, injected = read(file)
    older = with_record(with_older_scripts(injected), version="0.0.9")
    patch = reviewed(older).patch
    healed = after(older, patch)
    workers = json.loads(injected["metadata"]["annotations"][STATUS_ANNOTATION])["workers"]
    for name, was, now in zip(containers(older), containers(older).values(), containers(healed).values(), strict=True):
        # A worker whose command is only in its image is left as it was recorded.
        assert has_older_script(now) == (has_older_script(was) and name in workers and "command" not in was)
    assert normalized(healed) == normalized(injected)
    if patch:
        assert json.loads(healed["metadata"]["annotations"][STATUS_ANNOTATION])["version"] == __version__


def has_older_script(container: Pod) -> bool:
    return OLDER in json.dumps(container)


def containers(pod: Pod) -> dict[str, Pod]:
    return {each["name"]: each for each in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", []))}


@every_recorded
def test_uninject_restores_the_original_pod(file: Path) -> None:
    original, injected = read(file)
    assert after(injected, restore(injected)) == original
    healed = after(injected, reviewed(injected).patch)
    assert after(healed, restore(healed)) == original


@every_recorded
def test_a_record_of_a_newer_version_with_known_fields_is_read(file: Path) -> None:
    original, injected = read(file)
    newer = with_record(injected, version="99.0.0")
    assert reviewed(newer).decision.outcome is Kind.PROTECTED
    assert after(newer, restore(newer)) == original


@every_recorded
def test_a_pod_injected_by_a_newer_version_is_left_unchanged(file: Path) -> None:
    """An older replica, which still runs during a rollout or returns with a rollback, must not remove anything."""
    _, injected = read(file)
    newer = with_record(with_older_scripts(injected), version="99.0.0", sleeps=["worker"])
    review = reviewed(newer)
    assert (review.patch, review.decision.reason) == ([], Reason.UNCHANGED)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"sleeps": ["worker"]}, "sleeps"),
        ({"workers": {"worker": {"mode": "signal", "pace": 3}}}, "workers.worker.pace"),
        ({"commands": {"worker": {"was": "absent", "pace": 3}}}, "commands.worker.pace"),
    ],
    ids=["of the pod", "of a worker", "of a command"],
)
def test_uninject_refuses_a_pod_with_fields_that_only_a_newer_version_knows(
    tmp_path: Path, fields: dict[str, Any], named: str
) -> None:
    """Otherwise it would undo only a part of the injection."""
    _, injected = read(RECORDED[0])
    manifest = tmp_path / "pod.json"
    newer = with_record(injected, version="99.0.0", **fields)
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", **newer}))
    result = CliRunner().invoke(main, ["uninject", "-f", str(manifest)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f'is of version "99.0.0" and has fields that {__version__} does not know ("{named}")' in result.stderr
