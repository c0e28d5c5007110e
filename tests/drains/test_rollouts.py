"""When a rollout is complete: each status is a file, as its controller writes it."""

from __future__ import annotations

import pytest

from tests.drains.cases import cases
from webhook.drains.rollout import rollout_for_drains

ROLLOUTS = cases("rollouts")


@pytest.mark.parametrize("name", ROLLOUTS)
def test_a_rollout_is_as_far_as_its_file_says(name: str) -> None:
    case = ROLLOUTS[name]
    assert rollout_for_drains(case["kind"], case["workload"]).stage.value == case["progress"]
