"""The page for new users, word for word: install, label, roll out without a lost message, and uninstall."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster.settings import read_start_refusal
from tests.documentation.commands import ROOT, lines_below

REFUSAL = read_start_refusal()
pytestmark = [pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL), pytest.mark.timeout(1200)]

START = ROOT / "docs" / "start" / "kind.md"
UNINSTALL = ROOT / "docs" / "uninstall.md"
WAYS = ("## With Helm", "## With kustomize")


def run(line: str) -> str:
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """One way of installation; what it has left is removed afterwards."""
    yield request.param
    run("kubectl delete -f examples/quick-start.yaml --ignore-not-found --wait=false")
    run("kubectl label namespace default graceful-worker-")
    for line in lines_below(UNINSTALL, request.param):
        run(line)
    run("kubectl delete namespace graceful-worker --ignore-not-found")


def test_a_rollout_loses_no_message(way: str) -> None:
    *before, wait = lines_below(START, way)
    for line in before:
        run(line)
    assert re.search(r"(\d+) drains are over: \1 finished\.", run(wait))
