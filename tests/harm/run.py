"""Run one case: end a pod on the node as the scenario describes, and record what happens."""

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
"""The timeout of a step in seconds."""
POLL = 0.03
BACK_OFF = 0.4
"""Seconds before the second restart, in place of the kubelet's 10."""
SHELL_IMAGE_PROGRAMS = ("sh", "mkdir", "mkfifo", "mv", "rm", "sleep", "tr", "cat", "env", "kill")
"""Programs in the image with the shell that the product adds to a pod; it does not have to use all of them."""


@dataclass(frozen=True)
class Record:
    """The result of a run; seconds count from the deletion."""

    lines: tuple[str, ...] = ()
    seconds: float = 0
    ends: Mapping[str, float] = field(default_factory=dict)
    exit_codes: tuple[int, ...] = ()
    starts: Mapping[str, Start] = field(default_factory=dict)
    last_end: float = 0
    """When the last message ended; 0 if none ended after the deletion."""
    restart: float | None = None
    """Seconds from a failed liveness probe to the next start of its container."""
    killed: bool = False
    """Whether SIGKILL at the end of the grace period ended the worker."""
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
    """A running pod, and the steps that a scenario takes with it."""

    def __init__(self, case: Case, pod: RunningPod, journal: Journal) -> None:
        self.case = case
        self.pod = pod
        self.journal = journal
        self.restart: float | None = None
        self._in_progress = 0
        self.lines: list[str] | None = None
        """The journal at the time when everything that counts was over."""

    def until(self, what: str, condition: Callable[[], object], seconds: float = LONG) -> None:
        """Wait for something.

        Raises:
            TimeoutError: it did not happen in time.

        """
        wait_until(condition, seconds, what, POLL)

    def until_ready(self, times: int = 1) -> None:
        """Wait until the worker is in the state in which the case deletes the pod."""
        for line in self.case.ready:
            self._until_written(line, times)
            times = 1
        time.sleep(self.case.settle)

    def _until_written(self, line: str, times: int) -> None:
        self.until(f"{times} x {line!r}", lambda: self.journal.count(line) >= times, 20)

    def delete(self) -> None:
        if journals.DELETED not in self.journal.lines:
            self.journal.delete()
        self._in_progress = journals.cut(self.journal.lines)
        self.pod.delete()

    def until_signalled(self, seconds: float, deadline: float = RELEASE_DEADLINE) -> None:
        """Wait some seconds from the deletion, and longer until all workers with a message have received a signal."""
        while (passed := self.since_deletion()) < deadline or passed < seconds:
            if self.pod.gone.wait(POLL) or (passed >= seconds and self._are_signalled()):
                return

    def _are_signalled(self) -> bool:
        return journals.count_received_signals(self.journal.lines) >= max(1, self._in_progress)

    def release(self) -> None:
        """Let the current messages end."""
        self.until_signalled(self.case.release)
        self.journal.release()

    def since_deletion(self) -> float:
        return (time.monotonic_ns() - self.pod.deleted_at) / 1e9

    def until_gone(self) -> None:
        self.until("the pod is gone", self.pod.gone.is_set)

    def fail_liveness(self, container: str) -> None:
        """Let a container fail its liveness probe, and wait until the container has been started again."""
        begin = time.monotonic()
        self.pod.fail_liveness(container)
        state = self.pod.state(container)
        self.until(f"{container} is started again", lambda: state.restarts and state.running)
        self.restart = time.monotonic() - begin


def deletion(stage: Stage) -> None:
    """Deletion during a message."""
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
    """SIGKILL to all processes of the worker's container during the drain, as at an out-of-memory kill."""
    stage.until_ready()
    stage.delete()
    stage.until_signalled(0.5)
    stage.pod.run_out_of_memory("worker")
    stage.until_gone()


def liveness(stage: Stage) -> None:
    """A failed liveness probe of the worker during a message, then normal work on the same volume, then deletion."""
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
    """Deletion during a message, and a restart of the kubelet, which begins to end the pod again."""
    stage.until_ready()
    stage.delete()
    stage.until_signalled(0)
    time.sleep(1.3)
    stage.pod.terminate_again()
    stage.release()
    stage.until_gone()


def watch(stage: Stage) -> None:
    """Three seconds without an event, then deletion."""
    stage.until("the container runs", lambda: stage.pod.has_started("worker"))
    time.sleep(3)
    stage.delete()
    stage.release()
    stage.until_gone()


def completion(stage: Stage) -> None:
    """The container ends by itself; nothing else happens to it."""
    stage.journal.release()
    stage.until("the container ends", lambda: stage.pod.exit_codes("worker"))
    stage.lines = stage.journal.lines


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    scenario.__name__: scenario
    for scenario in (deletion, young, killed, liveness, sidecar_liveness, twice, watch, completion)
}


def run(case: Case, image: Image, *, protected: bool) -> Record:
    """Run a case once; an error in the run becomes part of the record."""
    with tempfile.TemporaryDirectory(prefix="harm-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)  # accessible to every user of the containers
        journal = Journal(directory / "journal", case.quick)
        pod, said = case.manifest(directory / "journal"), tuple[str, ...]()
        if protected:
            try:
                patched = patch(pod, case.stop_signal)
            except Refused as refused:
                return Record(error=str(refused))
            except Exception as failure:  # an error of the product must not stop the other cases
                return Record(error=f"the product fails: {_describe(failure)}")
            if _has_unchanged_spec(pod, patched.pod):
                return Record(untouched=True, said=patched.said)
            pod, said = patched.pod, patched.said
        return replace(_run(case, pod, image, directory, journal), said=said)


def _describe(failure: Exception) -> str:
    return "".join(traceback.format_exception_only(failure)).strip()


def _has_unchanged_spec(pod: Json, patched: Json) -> bool:
    """Return whether the product changed nothing but the pod's metadata."""
    return bool(pod["spec"] == patched["spec"])


def _run(case: Case, manifest: Json, image: Image, directory: Path, journal: Journal) -> Record:
    if case.proc:
        image = restricted_proc(image, case.proc, directory)
    node = Node(directory / "node", image, back_off=BACK_OFF)
    if case.stop_signal:
        node.images["worker"] = with_stop_signal(image, case.stop_signal)
    _add_shell_images(node, manifest, directory)
    if case.scenario == young.__name__:
        journal.delete()  # all messages count as begun during the drain, as the order is a race
    try:
        pod = node.run(manifest)
        stage = Stage(case, pod, journal)
        error = ""
        try:
            SCENARIOS[case.scenario](stage)
        except Exception as failure:  # the other cases continue
            error = _describe(failure)
        return _record(stage, error)
    finally:
        node.close()


def _add_shell_images(node: Node, manifest: Json, directory: Path) -> None:
    """Give the node the images that the product has added to the pod: each is a static busybox."""
    names = [
        container["image"] for container in manifest["spec"].get("initContainers", ()) if LABEL in container["name"]
    ]
    names += [volume["image"]["reference"] for volume in manifest["spec"]["volumes"] if "image" in volume]
    for number, name in enumerate(names):
        node.images[name] = busybox_image(directory / f"image-{number}", SHELL_IMAGE_PROGRAMS)


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
