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


def meaning(value: Any) -> Any:
    """Leave out what may differ from version to version: the scripts' text, and which version wrote the record."""
    if isinstance(value, dict):
        return {key: record(item) if key == STATUS_ANNOTATION else meaning(item) for key, item in value.items()}
    if isinstance(value, list):
        ours = find_wrapper(value) if all(isinstance(item, str) for item in value) else None
        return [meaning("<script>" if ours and place == ours[0] + 2 else item) for place, item in enumerate(value)]
    return value


def record(text: str) -> Pod:
    return {key: value for key, value in json.loads(text).items() if key != "version"}


def with_record(pod: Pod, **fields: Any) -> Pod:
    """Return a pod in whose record some fields are others."""
    changed = deepcopy(pod)
    annotations = changed["metadata"]["annotations"]
    annotations[STATUS_ANNOTATION] = json.dumps({**json.loads(annotations[STATUS_ANNOTATION]), **fields})
    return changed


def with_older_scripts(value: Any) -> Any:
    """Put another text in place of each script, as if it had been mended since."""
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
def test_it_is_what_a_version_made(file: Path) -> None:
    original, injected = read(file)
    assert STATUS_ANNOTATION not in original["metadata"].get("annotations", {})
    assert json.loads(injected["metadata"]["annotations"][STATUS_ANNOTATION])["version"] == file.parent.name


@every_recorded
def test_it_passes_with_nothing_changed_but_scripts_that_have_been_mended(file: Path) -> None:
    _, injected = read(file)
    review = reviewed(injected)
    assert review.decision.outcome is Kind.PROTECTED
    healed = after(injected, review.patch)
    assert meaning(healed) == meaning(injected)
    assert reviewed(healed).patch == []


@every_recorded
def test_a_script_that_has_been_mended_since_is_brought_up_to_date(file: Path) -> None:
    _, injected = read(file)
    older = with_record(with_older_scripts(injected), version="0.0.9")
    patch = reviewed(older).patch
    healed = after(older, patch)
    workers = json.loads(injected["metadata"]["annotations"][STATUS_ANNOTATION])["workers"]
    for name, was, now in zip(containers(older), containers(older).values(), containers(healed).values(), strict=True):
        # A worker whose command only its image knows is left as it was recorded.
        assert has_older_script(now) == (has_older_script(was) and name in workers and "command" not in was)
    assert meaning(healed) == meaning(injected)
    if patch:
        assert json.loads(healed["metadata"]["annotations"][STATUS_ANNOTATION])["version"] == __version__


def has_older_script(container: Pod) -> bool:
    return OLDER in json.dumps(container)


def containers(pod: Pod) -> dict[str, Pod]:
    return {each["name"]: each for each in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", []))}


@every_recorded
def test_uninject_gives_the_original_back(file: Path) -> None:
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
def test_what_a_newer_version_has_made_is_left_as_it_is(file: Path) -> None:
    """An older replica that is still there in a rollout, or comes back by a rollback, must not take anything away."""
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
def test_uninject_does_not_undo_by_halves_what_a_newer_version_has_made(
    tmp_path: Path, fields: dict[str, Any], named: str
) -> None:
    _, injected = read(RECORDED[0])
    manifest = tmp_path / "pod.json"
    newer = with_record(injected, version="99.0.0", **fields)
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", **newer}))
    result = CliRunner().invoke(main, ["uninject", "-f", str(manifest)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f'is of version "99.0.0" and has fields that {__version__} does not know ("{named}")' in result.stderr
