"""The page for new users, run command by command: install, label, roll out without a lost message, uninstall."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.cluster.settings import read_start_refusal
from tests.documentation.commands import ROOT, block_below, lines_below

REFUSAL = read_start_refusal()
pytestmark = [pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL), pytest.mark.timeout(1200)]

START = ROOT / "docs" / "start" / "kind.md"
UNINSTALL = ROOT / "docs" / "uninstall.md"
INSTALLATIONS = ("## With Helm", "## With kustomize")


def run(line: str) -> str:
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(params=INSTALLATIONS)
def installation(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield one way to install; afterwards, remove what it has created."""
    yield request.param
    run("kubectl delete -f examples/quick-start.yaml --ignore-not-found --wait=false")
    run("kubectl label namespace default graceful-worker-")
    for line in lines_below(UNINSTALL, request.param):
        run(line)
    run("kubectl delete namespace graceful-worker --ignore-not-found")


def test_a_protected_rollout_loses_no_message_and_an_unprotected_one_loses_some(installation: str) -> None:
    *before, wait = lines_below(START, installation)
    for line in before:
        run(line)
    assert run(wait).splitlines()[-1] == block_below(START, "## What you see", "text").strip()
    # Do not start at the end of a message: the pod would be gone before its log is followed.
    time.sleep(15)
    assert ends_of_pods_during(lines_below(START, "## See the messages"), 75) == ["end"] * 3
    # Protected pods still drain while the other three are killed.
    assert ends_of_pods_during(lines_below(START, "## Compare with unprotected pods"), 45).count("begin") == 3


def ends_of_pods_during(lines: list[str], seconds: float) -> list[str]:
    """Follow the log for some seconds; return the last word logged by each pod that has ended by then."""
    *before, follow = lines
    for line in before:
        run(line)
    log = output_for(follow, seconds)
    # A pod's log ends shortly before the pod does.
    time.sleep(5)
    there = run("kubectl get pods -l app=quick-start -o name")
    last = dict(re.findall(r"^\[pod/(\S+)/worker\] \S+ message \d+: (begin|end)$", log, re.MULTILINE))
    return [word for pod, word in last.items() if f"pod/{pod}\n" not in there]


def output_for(line: str, seconds: float) -> str:
    """Return the output of a command that a user stops with Ctrl-C."""
    with subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        try:
            return process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            return process.communicate()[0]
