"""When a rollout is complete: each case is a file with the status as the controller writes it."""

from __future__ import annotations

import pytest

from tests.drains.cases import cases
from webhook.drains.rollout import rollout_for_drains

ROLLOUTS = cases("rollouts")


@pytest.mark.parametrize("name", ROLLOUTS)
def test_the_stage_of_a_rollout_is_that_of_the_file(name: str) -> None:
    case = ROLLOUTS[name]
    assert rollout_for_drains(case["kind"], case["workload"]).stage.value == case["progress"]
