"""The progress of a rollout, derived from a workload's status."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from webhook.kubernetes.rollout import Stage, rollout_of

CASES = sorted((Path(__file__).parent / "rollouts").glob("*.yaml"))


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_rollout_has_the_stage_and_the_message_of_the_file(file: Path) -> None:
    case = YAML(typ="safe").load(file)
    rollout = rollout_of(case["owner"]["kind"], case["owner"])
    assert (rollout.stage.value, rollout.message) == (case["stage"], case["says"])


def test_every_stage_has_a_case() -> None:
    assert {YAML(typ="safe").load(file)["stage"] for file in CASES} == {stage.value for stage in Stage}
