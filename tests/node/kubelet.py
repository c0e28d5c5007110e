"""The kubelet's part: start, restart and end a pod's containers."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.node.runtime import Container, ContainerSpec, NotStarted
from tests.node.specification import Json, PodSpecification, hook_of, is_native_sidecar

BACK_OFF = 10.0
"""Seconds before the second restart; each one after it waits twice as long, up to MAX_BACK_OFF."""
MAX_BACK_OFF = 300.0
BACK_OFF_RESET = 600.0
"""Seconds of running after which the next restart has no back-off, like the first one.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
"""
MINIMUM_GRACE = 2.0
"""Seconds that a container has after its hook, even after a long one: minimumGracePeriodInSeconds of the kubelet."""
FOREVER = 1e6


@dataclass
class Event:
    """An event of a pod, with the time in nanoseconds of the monotonic clock."""

    when: int
    container: str
    what: str


@dataclass
class ContainerState:
    """A container of a pod, across all its restarts."""

    spec: Json
    restarts: int = 0
    failures: int = 0
    """Restarts that count for the next back-off."""
    instance: Container | None = None
    exit_codes: list[int] = field(default_factory=list)
    ended: int = 0
    """The time at which the last instance ended, in nanoseconds; 0 while an instance runs."""
    hooks_running: int = 0

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def running(self) -> Container | None:
        """The instance, if it is running."""
        return self.instance if self.instance is not None and self.instance.running else None


class RunningPod:
    """A pod on the node, from its start until it is gone."""

    def __init__(self, specification: PodSpecification, directory: Path, back_off: float) -> None:
        self.name = specification.name
        self.pod = specification.pod
        self.events: list[Event] = []
        self.hooks_fail = False
        """Whether the runtime fails to run hooks: the kubelet reports FailedPreStopHook and continues."""
        self._specification = specification
        self._directory = directory
        self._back_off = back_off
        self._states = {spec["name"]: ContainerState(spec) for spec in specification.spec["containers"]}
        init = {spec["name"]: ContainerState(spec) for spec in specification.spec.get("initContainers") or ()}
        self._init = init
        """Init containers, including native sidecars, in the order in which they start."""
        self._sidecars = {name: state for name, state in init.items() if is_native_sidecar(state.spec)}
        self._pid_namespace = ""
        self._pause: Container | None = None
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []
        self.started = threading.Event()
        self.terminating = threading.Event()
        self.gone = threading.Event()
        self.deleted_at = 0
        self._spawn(self._run)

    # State

    def state(self, container: str) -> ContainerState:
        return self._states.get(container) or self._init[container]

    @property
    def grace(self) -> int:
        """The grace period in seconds."""
        return self._specification.grace

    @property
    def is_deleted(self) -> bool:
        return self.terminating.is_set()

    @property
    def is_gone(self) -> bool:
        return self.gone.is_set()

    def has_started(self, container: str) -> bool:
        return self.state(container).instance is not None

    def restarts(self, container: str) -> int:
        return self.state(container).restarts

    def exit_codes(self, container: str) -> list[int]:
        """Return the exit codes of the instances of a container that have ended so far."""
        return list(self.state(container).exit_codes)

    @property
    def ready(self) -> bool:
        """Whether all containers are running and the pod is not deleted; this node has no readiness probes."""
        return not self.terminating.is_set() and self.started.is_set() and all(s.running for s in self._states.values())

    # Actions

    def delete(self, grace: float | None = None) -> None:
        """Begin to end the pod; a grace period in seconds overrides the pod's own, as in an eviction."""
        with self._lock:
            if self.terminating.is_set():
                return
            self.deleted_at = time.monotonic_ns()
            self._note("", "deleted")
            self.terminating.set()
        self._spawn(self._terminate, self._specification.grace if grace is None else grace)

    def terminate_again(self) -> None:
        """End the pod again, with hooks and stop signals, like a kubelet that was restarted meanwhile."""
        self._note("", "kubelet restarted")
        grace = self._specification.grace - (time.monotonic_ns() - self.deleted_at) / 1e9
        self._end_containers(grace)

    def fail_liveness(self, container: str) -> None:
        """Act as if a container's liveness probe had failed."""
        state = self.state(container)
        probe = state.spec["livenessProbe"]
        self._note(container, "liveness probe failed")
        grace = probe.get("terminationGracePeriodSeconds", self._specification.grace)
        self._spawn(self._end_container, state, grace)

    def run_out_of_memory(self, container: str) -> None:
        """Kill all processes of a container."""
        running = self.state(container).running
        self._note(container, "out of memory")
        if running:
            running.kill()

    def exec(self, container: str, argv: Sequence[str], seconds: float = 10) -> int | None:
        """Run a command in a container: `kubectl exec`."""
        running = self.state(container).running
        return running.exec(argv, seconds) if running else None

    def remove(self) -> None:
        """End the pod at once, in any state, and delete its files."""
        self.terminating.set()
        with self._lock:
            instances = [s.instance for s in (*self._states.values(), *self._init.values()) if s.instance]
            instances += [self._pause] if self._pause else []
        for instance in instances:
            instance.kill()
        for thread in self._threads:
            thread.join(30)
        for instance in instances:
            instance.remove()
        shutil.rmtree(self._directory, ignore_errors=True)

    # Start

    def _run(self) -> None:
        self._specification.make_volumes()
        if self._specification.shares_processes:
            self._pause = self._start_pause()
            self._pid_namespace = f"/proc/{self._pause.pid}/ns/pid"
        for name, state in self._init.items():
            if name in self._sidecars:
                self._start_sidecar(state)
            elif not self._run_to_success(state):
                return
        for state in self._states.values():
            self._spawn(self._keep_running, state)
        _until(lambda: all(state.instance for state in self._states.values()) or self.terminating.is_set())
        self.started.set()

    def _start_sidecar(self, state: ContainerState) -> None:
        """Start a native sidecar, and wait until it runs; the next containers start after that."""
        self._spawn(self._keep_running, state)
        _until(lambda: state.running or self.terminating.is_set())

    def _start_pause(self) -> Container:
        """Start process 1 of a shared PID namespace, which reaps orphans."""
        directory = self._directory / "pause"
        directory.mkdir()
        reap = "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done"
        return Container(directory, ContainerSpec(["/bin/sh", "-c", reap], {"PATH": "/usr/bin:/bin"}, ()))

    def _run_to_success(self, state: ContainerState) -> bool:
        """Run an init container until it succeeds, or once if the restart policy of the pod is Never.

        https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#detailed-behavior
        """
        while instance := self._start(state):
            code = self._wait_for_end(state, instance)
            if code == 0 or self._specification.spec.get("restartPolicy") == "Never":
                return code == 0
            if not self._prepare_restart(state, instance):
                return False
        return False

    def _keep_running(self, state: ContainerState) -> None:
        """Run a container, and run it again according to the restart policy."""
        policy = state.spec.get("restartPolicy") or self._specification.spec.get("restartPolicy", "Always")
        while instance := self._start(state):
            code = self._wait_for_end(state, instance)
            if policy == "Never" or (policy == "OnFailure" and code == 0):
                return
            # A hook that still runs belongs to the instance that has ended; the kubelet's pod worker waits for it.
            _until(lambda: not state.hooks_running)
            if not self._prepare_restart(state, instance):
                return

    def _wait_for_end(self, state: ContainerState, instance: Container) -> int:
        """Wait until an instance has ended; return its exit code."""
        instance.wait()
        assert instance.exit_code is not None
        state.exit_codes.append(instance.exit_code)
        state.ended = instance.ended
        self._note(state.name, f"ended with exit code {instance.exit_code}", instance.ended)
        return instance.exit_code

    def _prepare_restart(self, state: ContainerState, instance: Container) -> bool:
        """Back off, and return whether the container is still to be restarted."""
        self._wait_before_restart(state, instance)
        with self._lock:
            if self.terminating.is_set():
                return False
            state.restarts += 1
        return True

    def _start(self, state: ContainerState) -> Container | None:
        with self._lock:
            if self.terminating.is_set():
                return None
            directory = self._directory / f"{state.name}-{state.restarts}"
            directory.mkdir()
            spec = self._specification.container(state.spec, self._pid_namespace)
            try:
                state.instance = Container(directory, spec)
            except NotStarted as reason:
                self._note(state.name, f"not started: {reason}")
                raise
            state.ended = 0
            self._note(state.name, "started", state.instance.started)
            return state.instance

    def _wait_before_restart(self, state: ContainerState, instance: Container) -> None:
        """Back off: the first restart is immediate, the second after 10 s, and each further one after twice as long."""
        if (instance.ended - instance.started) / 1e9 > BACK_OFF_RESET:
            state.failures = 0
        if state.failures:
            seconds = min(self._back_off * 2 ** (state.failures - 1), MAX_BACK_OFF)
            self._note(state.name, f"back-off {seconds:g} s")
            self.terminating.wait(seconds)
        state.failures += 1

    # End

    def _terminate(self, grace: float) -> None:
        """End all containers, then the pod."""
        begin = time.monotonic()
        for thread in self._end_containers(grace):
            thread.join()
        states = (*self._states.values(), *self._init.values())
        # The end of a container is recorded a moment after it has happened.
        _until(lambda: all(s.ended for s in states if s.instance), grace - (time.monotonic() - begin) + 30)
        if self._pause:
            self._pause.kill()
            self._pause.wait()
        self._note("", "gone")
        self.gone.set()

    def _end_containers(self, grace: float) -> list[threading.Thread]:
        """End all containers at once, and native sidecars after the regular ones, in reverse order.

        newTerminationOrdering() in
        https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kuberuntime/kuberuntime_termination_order.go
        """
        with self._lock:  # a container that is just starting has an instance before it is ended
            regular = list(self._states.values())
        init = [state for name, state in self._init.items() if name not in self._sidecars]
        threads = [self._spawn(self._end_container, state, grace) for state in (*regular, *init)]
        before = [state.running for state in regular]
        for state in reversed(self._sidecars.values()):
            threads.append(self._spawn(self._end_container, state, grace, list(before)))
            before.append(state.running)
        return threads

    def _end_container(self, state: ContainerState, grace: float, before: Sequence[Container | None] = ()) -> None:
        """End one instance: hook, wait for its turn, stop signal, SIGKILL at the end of the grace period.

        killContainer() in https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kuberuntime/kuberuntime_container.go
        """
        instance = state.running
        if instance is None:
            return
        begin = time.monotonic()
        with self._lock:
            state.hooks_running += 1
        try:
            self._run_hook(state, instance, grace)
        finally:
            with self._lock:
                state.hooks_running -= 1
        for other in before:
            if other is not None:
                other.wait(max(0, grace - (time.monotonic() - begin)))
        left = max(grace - (time.monotonic() - begin), MINIMUM_GRACE)
        if not instance.running:
            return
        self._note(state.name, "stop signal")
        instance.signal(self._specification.stop_signal(state.spec))
        if not instance.wait(left):
            self._note(state.name, "killed: the grace period is over")
            instance.kill()
            instance.wait()

    def _run_hook(self, state: ContainerState, instance: Container, grace: float) -> None:
        hook = hook_of(state.spec)
        if hook is None or grace <= 0:
            return
        if "sleep" in hook:
            instance.wait(min(hook["sleep"]["seconds"], grace))
            return
        if "exec" not in hook:
            raise NotImplementedError(f"this node runs exec and sleep hooks only, not {hook}")
        self._note(state.name, "hook begins")
        code = 126 if self.hooks_fail else instance.exec(hook["exec"]["command"], grace)
        self._note(state.name, f"hook ends with {'time-out' if code is None else f'exit code {code}'}")

    # Helpers

    def _note(self, container: str, what: str, when: int | None = None) -> None:
        self.events.append(Event(when or time.monotonic_ns(), container, what))

    def _spawn(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread


def _until(condition: Callable[[], object], seconds: float = FOREVER) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
