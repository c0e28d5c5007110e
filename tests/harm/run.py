"""Runs one case: a pod on the node is ended as the scenario says, and what happened is recorded."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.harm import journal as journals
from tests.harm.case import LABEL, RELEASE_DEADLINE, Case
from tests.harm.images import with_stop_signal
from tests.harm.journal import Journal, Start
from tests.harm.patching import Refused, patch
from tests.harm.restricted_proc import restricted_proc
from tests.node.images import busybox_image
from tests.node.kubelet import RunningPod
from tests.node.node import Node
from tests.node.runtime import Image
from tests.node.specification import Json, is_native_sidecar
from tests.waiting import wait_until

LONG = 45.0
"""Seconds that no step takes."""
POLL = 0.03
BACK_OFF = 0.4
"""Seconds before the second restart, in place of the kubelet's 10."""
BROUGHT = ("sh", "mkdir", "mkfifo", "mv", "rm", "sleep", "tr", "cat", "env", "kill")
"""Names in the image of the shell that the product brings, which it need not use."""


@dataclass(frozen=True)
class Record:
    """What came of a run; seconds count from the deletion."""

    lines: tuple[str, ...] = ()
    seconds: float = 0
    ends: Mapping[str, float] = field(default_factory=dict)
    exit_codes: tuple[int, ...] = ()
    starts: Mapping[str, Start] = field(default_factory=dict)
    last_end: float = 0
    """When the last message ended; 0 where none did after the deletion."""
    restart: float | None = None
    """Seconds from a failed liveness probe to the next start of its container."""
    killed: bool = False
    """Whether SIGKILL at the end of the grace period was the worker's end."""
    untouched: bool = False
    said: tuple[str, ...] = ()
    output: str = ""
    error: str = ""

    @property
    def cut(self) -> int:
        return journals.cut(self.lines)

    @property
    def begun(self) -> int:
        return journals.begun_in_drain(self.lines)

    @property
    def ran(self) -> list[str]:
        return journals.ran_in_drain(self.lines)

    @property
    def ran_after_a_cut(self) -> int:
        return journals.ran_after_a_cut(self.lines)


class Stage:
    """A pod that runs, and what a scenario does to it."""

    def __init__(self, case: Case, pod: RunningPod, journal: Journal) -> None:
        self.case = case
        self.pod = pod
        self.journal = journal
        self.restart: float | None = None
        self._in_hand = 0
        self.lines: list[str] | None = None
        """The journal as it was when all that counts was over."""

    def until(self, what: str, condition: Callable[[], object], seconds: float = LONG) -> None:
        """Wait for something.

        Raises:
            TimeoutError: it did not come.

        """
        wait_until(condition, seconds, what, POLL)

    def until_ready(self, times: int = 1) -> None:
        """Wait until the worker is where the case wants it to be when the pod is deleted."""
        for line in self.case.ready:
            self._until_written(line, times)
            times = 1
        time.sleep(self.case.settle)

    def _until_written(self, line: str, times: int) -> None:
        self.until(f"{times} x {line!r}", lambda: self.journal.count(line) >= times, 20)

    def delete(self) -> None:
        if journals.DELETED not in self.journal.lines:
            self.journal.delete()
        self._in_hand = journals.cut(self.journal.lines)
        self.pod.delete()

    def until_heard(self, seconds: float, deadline: float = RELEASE_DEADLINE) -> None:
        """Wait some seconds from the deletion, and longer while not all workers with a message have heard a signal."""
        while (passed := self.since_deletion()) < deadline or passed < seconds:
            if self.pod.gone.wait(POLL) or (passed >= seconds and self._have_heard()):
                return

    def _have_heard(self) -> bool:
        return journals.heard(self.journal.lines) >= max(1, self._in_hand)

    def release(self) -> None:
        """Let the messages in hand end."""
        self.until_heard(self.case.release)
        self.journal.release()

    def since_deletion(self) -> float:
        return (time.monotonic_ns() - self.pod.deleted_at) / 1e9

    def until_gone(self) -> None:
        self.until("the pod is gone", self.pod.gone.is_set)

    def fail_liveness(self, container: str) -> None:
        """Let a container fail its liveness probe, and wait until it has been started again."""
        begin = time.monotonic()
        self.pod.fail_liveness(container)
        state = self.pod.state(container)
        self.until(f"{container} is started again", lambda: state.restarts and state.running)
        self.restart = time.monotonic() - begin


def deletion(stage: Stage) -> None:
    """Deletion in mid-message."""
    stage.until_ready()
    stage.delete()
    stage.release()
    stage.until_gone()


def young(stage: Stage) -> None:
    """Deletion as soon as the container runs."""
    stage.until("the container runs", lambda: stage.pod.has_started("worker"))
    stage.delete()
    stage.release()
    stage.until_gone()


def killed(stage: Stage) -> None:
    """SIGKILL to all of the worker's container while it drains, as the kernel does when memory runs out."""
    stage.until_ready()
    stage.delete()
    stage.until_heard(0.5)
    stage.pod.run_out_of_memory("worker")
    stage.until_gone()


def liveness(stage: Stage) -> None:
    """A failed liveness probe of the worker in mid-message, then normal work on the same volume, then deletion."""
    stage.until_ready()
    stage.fail_liveness("worker")
    stage.until_ready(2)
    stage.delete()
    stage.release()
    stage.until_gone()


def sidecar_liveness(stage: Stage) -> None:
    """A failed liveness probe of the sidecar while no pod is being deleted, then deletion."""
    stage.until_ready()
    stage.fail_liveness("sidecar")
    stage.delete()
    stage.release()
    stage.until_gone()


def twice(stage: Stage) -> None:
    """Deletion in mid-message, and a kubelet that is restarted then: it begins to end the pod anew."""
    stage.until_ready()
    stage.delete()
    stage.until_heard(0)
    time.sleep(1.3)
    stage.pod.terminate_again()
    stage.release()
    stage.until_gone()


def watch(stage: Stage) -> None:
    """Three seconds without a disturbance, then deletion."""
    stage.until("the container runs", lambda: stage.pod.has_started("worker"))
    time.sleep(3)
    stage.delete()
    stage.release()
    stage.until_gone()


def completion(stage: Stage) -> None:
    """The container ends by itself, with nothing done to it."""
    stage.journal.release()
    stage.until("the container ends", lambda: stage.pod.exit_codes("worker"))
    stage.lines = stage.journal.lines


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    scenario.__name__: scenario
    for scenario in (deletion, young, killed, liveness, sidecar_liveness, twice, watch, completion)
}


def run(case: Case, image: Image, *, protected: bool) -> Record:
    """Run a case once; what goes wrong in the run becomes part of the record."""
    with tempfile.TemporaryDirectory(prefix="harm-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)  # every user of the containers must be able to enter
        journal = Journal(directory / "journal", case.quick)
        pod, said = case.manifest(directory / "journal"), tuple[str, ...]()
        if protected:
            try:
                patched = patch(pod, case.stop_signal)
            except Refused as refused:
                return Record(error=str(refused))
            except Exception as failure:  # a defect of the product is no defect of the harness
                return Record(error=f"the product fails: {_describe(failure)}")
            if _has_unchanged_spec(pod, patched.pod):
                return Record(untouched=True, said=patched.said)
            pod, said = patched.pod, patched.said
        return replace(_run(case, pod, image, directory, journal), said=said)


def _describe(failure: Exception) -> str:
    return "".join(traceback.format_exception_only(failure)).strip()


def _has_unchanged_spec(pod: Json, patched: Json) -> bool:
    """Tell whether nothing was done to a pod but to write its metadata."""
    return bool(pod["spec"] == patched["spec"])


def _run(case: Case, manifest: Json, image: Image, directory: Path, journal: Journal) -> Record:
    if case.proc:
        image = restricted_proc(image, case.proc, directory)
    node = Node(directory / "node", image, back_off=BACK_OFF)
    if case.stop_signal:
        node.images["worker"] = with_stop_signal(image, case.stop_signal)
    _add_brought_shell(node, manifest, directory)
    if case.scenario == young.__name__:
        journal.delete()  # whatever begins, begins in the drain: which comes first is a matter of chance
    try:
        pod = node.run(manifest)
        stage = Stage(case, pod, journal)
        error = ""
        try:
            SCENARIOS[case.scenario](stage)
        except Exception as failure:  # the other cases go on
            error = _describe(failure)
        return _record(stage, error)
    finally:
        node.close()


def _add_brought_shell(node: Node, manifest: Json, directory: Path) -> None:
    """Let the node know the images that the product has added to the pod: static busyboxes."""
    names = [
        container["image"] for container in manifest["spec"].get("initContainers", ()) if LABEL in container["name"]
    ]
    names += [volume["image"]["reference"] for volume in manifest["spec"]["volumes"] if "image" in volume]
    for number, name in enumerate(names):
        node.images[name] = busybox_image(directory / f"image-{number}", BROUGHT)


def _record(stage: Stage, error: str) -> Record:
    pod, journal = stage.pod, stage.journal
    spec = pod.pod["spec"]
    names = [spec["name"] for spec in (*spec["containers"], *filter(is_native_sidecar, spec.get("initContainers", ())))]
    ended = {name: pod.state(name).ended for name in names if pod.deleted_at and pod.state(name).ended}
    ends = {name: (when - pod.deleted_at) / 1e9 for name, when in ended.items()}
    instance = pod.state("worker").instance
    return Record(
        lines=tuple(journal.lines if stage.lines is None else stage.lines),
        seconds=max(ends.values(), default=0),
        ends=ends,
        exit_codes=tuple(pod.exit_codes("worker")[: None if pod.deleted_at else 1]),
        starts=journal.starts(),
        last_end=journal.last_end(),
        restart=stage.restart,
        killed=any(e.container == "worker" and e.what.startswith("killed") for e in pod.events),
        output=instance.log.read_text(errors="replace")[-2000:] if instance else "",
        error=error,
    )
