"""What only a real kubelet can show: a patched pod is never worse off than the same pod unpatched.

These tests patch the pods themselves, so that no webhook has to be reachable. They all run concurrently, because
they mostly wait.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from tests.builders import pod_template
from tests.cluster.settings import read_harm_images, read_harm_refusal
from tests.cluster.watched_pods import WatchedNamespace, WatchedPod, watched_namespace
from tests.harm.patching import patch
from tests.node.specification import Json

REFUSAL = read_harm_refusal()
IMAGE, BUSYBOX = read_harm_images()
needs_busybox = pytest.mark.skipif(not BUSYBOX, reason="no image: set E2E_BUSYBOX")
pytestmark = [pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL), pytest.mark.timeout(400)]

GRACE = 5
RAISED = 60
SLACK = 5.0
"""Seconds by which one pod may end later than another one, on a node where many pods end at once."""
KILLED = 137
WORKER = "/programs/worker"
WELL_BEHAVED = ["python3", WORKER]
WITHOUT_SIGNAL_HANDLER = {
    "python": ["python3", "/programs/no-handler"],
    "string": ["sh", "-c", "while :; do sleep 1; done"],
    "tail": ["tail", "-F", "/dev/null"],
    "sleep": ["sleep", "infinity"],
}

# Concurrency


class Running:
    """The selected tests, each in a thread of its own."""

    def __init__(self, namespace: WatchedNamespace, names: list[str]) -> None:
        self.namespace = namespace
        self._pool = ThreadPoolExecutor(len(names))
        self._futures = {name: self._pool.submit(CHECKS[name], namespace) for name in names}

    def result_of(self, name: str) -> Future[None]:
        return self._futures[name]

    def await_all(self) -> None:
        """Wait until all tests have ended, whether they pass or fail."""
        wait(self._futures.values())

    def close(self) -> None:
        self._pool.shutdown()


Check = Callable[[WatchedNamespace], None]
CHECKS: dict[str, Check] = {}


def side_by_side(check: Check) -> Callable[[Running], None]:
    """Make a test from a check that runs concurrently with all others."""
    CHECKS[check.__name__] = check

    def test(running: Running) -> None:
        running.result_of(check.__name__).result()

    test.__name__ = check.__name__
    return test


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    names = [item.name for item in request.session.items if item.name in CHECKS and not list(item.iter_markers("skip"))]
    with watched_namespace() as namespace:
        running = Running(namespace, names)
        try:
            yield running
        finally:
            running.close()


# Pods


def pod_of(worker: Json | list[str], sidecar: Json | list[str] | None = None, **spec: object) -> Json:
    """Return a labelled pod; a list means a container with that command."""
    containers = [_container("worker", worker), *([_container("sidecar", sidecar)] if sidecar else [])]
    programs = {"name": "programs", "configMap": {"name": "programs", "defaultMode": 0o755, "items": _ITEMS}}
    defaults = {
        "terminationGracePeriodSeconds": GRACE,
        "automountServiceAccountToken": False,
        "volumes": [programs, {"name": "state", "emptyDir": {}}],
    }
    return pod_template(
        *containers,
        labels={"graceful-worker": "enabled"},
        annotations={"graceful-worker/grace-period": str(RAISED), "graceful-worker/containers": "worker"},
        **{**defaults, **spec},
    )


_ITEMS = [
    {"key": key, "path": path}
    for key, path in (("worker", "worker"), ("worker", "celery"), ("once", "once"), ("no-handler", "no-handler"))
]


def _container(name: str, given: Json | list[str]) -> Json:
    fields = {"command": given} if isinstance(given, list) else given
    mounts = [{"name": "programs", "mountPath": "/programs"}, {"name": "state", "mountPath": "/state"}]
    return {"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "volumeMounts": mounts, **fields}


def annotated(pod: Json, **annotations: str) -> Json:
    more = {f"graceful-worker/{name.replace('_', '-')}": value for name, value in annotations.items()}
    pod["metadata"]["annotations"].update(more)
    return pod


def start_patched(namespace: WatchedNamespace, pod: Json) -> WatchedPod:
    patched = patch(pod).pod
    assert patched["spec"]["terminationGracePeriodSeconds"] == RAISED
    return namespace.create(patched, "patched")


def start_bare(namespace: WatchedNamespace, pod: Json) -> WatchedPod:
    bare = copy.deepcopy(pod)
    bare["metadata"] = {"labels": {"graceful-worker": "disabled"}}
    return namespace.create(bare, "bare")


def start_both(namespace: WatchedNamespace, pod: Json) -> tuple[WatchedPod, WatchedPod]:
    return start_bare(namespace, pod), start_patched(namespace, pod)


def end_together(*pods: WatchedPod) -> list[float]:
    """Delete pods as soon as all of them run, and return the seconds until each is gone."""
    for pod in pods:
        pod.until_running()
    # A container that is running has not necessarily executed its program yet.
    time.sleep(2)
    for pod in pods:
        pod.delete()
    return [pod.until_gone() for pod in pods]


def seconds_after_the_worker(pod: WatchedPod) -> float:
    """Return the seconds from the last log line of the worker to the stop signal of the sidecar."""
    return pod.line("heard TERM", "sidecar").when - pod.line("end").when


# A worker that handles no signal


@side_by_side
def test_a_worker_that_handles_no_signal_ends_with_the_original_grace_period(namespace: WatchedNamespace) -> None:
    pods = {name: start_both(namespace, pod_of(command)) for name, command in WITHOUT_SIGNAL_HANDLER.items()}
    seconds = end_together(*(pod for both in pods.values() for pod in both))
    for number, (name, (_, patched)) in enumerate(pods.items()):
        was, now = seconds[2 * number : 2 * number + 2]
        assert now < was + SLACK, name
        assert patched.exit_code() == KILLED, name


# A sidecar that handles no signal


def check_sidecar_without_signal_handler(
    namespace: WatchedNamespace, after: float, command: list[str], change: Callable[[Json], Json] = lambda pod: pod
) -> None:
    bare = start_bare(namespace, change(pod_of([WORKER], command)))
    patched = start_patched(namespace, change(pod_of([WORKER, f"after={after}"], command)))
    was, now = end_together(bare, patched)
    assert patched.exit_code() == 0
    assert patched.count("end") == 1
    assert now < was + max(0, after - GRACE) + SLACK


@side_by_side
def test_a_sidecar_without_signal_handler_ends_with_the_original_period_if_the_worker_ends_at_once(
    namespace: WatchedNamespace,
) -> None:
    check_sidecar_without_signal_handler(namespace, 0, WITHOUT_SIGNAL_HANDLER["tail"])


@side_by_side
def test_a_sidecar_without_signal_handler_ends_with_the_original_period_if_the_message_is_short(
    namespace: WatchedNamespace,
) -> None:
    check_sidecar_without_signal_handler(namespace, 4, WITHOUT_SIGNAL_HANDLER["python"])


@side_by_side
def test_a_sidecar_without_signal_handler_ends_with_a_long_message(namespace: WatchedNamespace) -> None:
    check_sidecar_without_signal_handler(namespace, GRACE + 5, WITHOUT_SIGNAL_HANDLER["sleep"])


def with_native_sidecar(pod: Json) -> Json:
    worker, sidecar = pod["spec"]["containers"]
    pod["spec"] |= {"containers": [worker], "initContainers": [sidecar | {"restartPolicy": "Always"}]}
    return pod


def with_sidecar_that_becomes_native(pod: Json) -> Json:
    return annotated(pod, sidecars="native")


@side_by_side
def test_a_native_sidecar_without_handler_ends_with_the_original_period_if_the_worker_ends_at_once(
    namespace: WatchedNamespace,
) -> None:
    check_sidecar_without_signal_handler(namespace, 0, WITHOUT_SIGNAL_HANDLER["python"], with_native_sidecar)


@side_by_side
def test_a_native_sidecar_without_signal_handler_ends_with_a_long_message(
    namespace: WatchedNamespace,
) -> None:
    check_sidecar_without_signal_handler(namespace, GRACE + 5, WITHOUT_SIGNAL_HANDLER["tail"], with_native_sidecar)


@side_by_side
def test_a_sidecar_made_native_without_signal_handler_ends_with_a_long_message(
    namespace: WatchedNamespace,
) -> None:
    check_sidecar_without_signal_handler(
        namespace, GRACE + 5, WITHOUT_SIGNAL_HANDLER["sleep"], with_sidecar_that_becomes_native
    )


# A sidecar that behaves


def check_sidecar(namespace: WatchedNamespace, pod: Json) -> WatchedPod:
    patched = start_patched(namespace, pod)
    patched.line("begin", "sidecar")
    patched.line("begin")
    patched.end()
    assert patched.exit_code() == 0
    assert patched.exit_code("sidecar") == 0
    assert 0 < seconds_after_the_worker(patched) < 1
    return patched


@side_by_side
def test_a_sidecar_ends_within_a_second_after_the_worker(namespace: WatchedNamespace) -> None:
    check_sidecar(namespace, pod_of([WORKER, f"after={GRACE + 2}"], WELL_BEHAVED))


@side_by_side
def test_a_sidecar_ends_within_a_second_after_a_worker_below_a_parent(namespace: WatchedNamespace) -> None:
    check_sidecar(namespace, pod_of(["python3", WORKER, f"after={GRACE + 2}"], [WORKER]))


@side_by_side
def test_a_sidecar_of_another_user_on_a_read_only_root_ends_within_a_second_after_the_worker(
    namespace: WatchedNamespace,
) -> None:
    def of_user(user: int, command: list[str]) -> Json:
        context = {"runAsUser": user, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        return {"command": command, "securityContext": context}

    check_sidecar(namespace, pod_of(of_user(1000, [WORKER, "after=3"]), of_user(2000, WELL_BEHAVED)))
    check_sidecar(namespace, pod_of(of_user(1000, ["python3", WORKER, "after=3"]), of_user(2000, [WORKER])))


@side_by_side
def test_a_sidecar_ends_within_a_second_after_a_worker_that_ran_out_of_memory(namespace: WatchedNamespace) -> None:
    limits = {"limits": {"memory": "100Mi"}}
    pod = pod_of({"command": ["/programs/celery", "worker", "after=memory"], "resources": limits}, WELL_BEHAVED)
    patched = start_patched(namespace, pod)
    patched.line("begin", "sidecar")
    patched.line("begin")
    patched.end()
    assert (patched.exit_code(), patched.reason()) == (KILLED, "OOMKilled")
    assert patched.exit_code("sidecar") == 0
    # The worker's last log line is written before it reaches its memory limit.
    assert patched.line("heard TERM", "sidecar").when - patched.line("takes memory").when < 2


@side_by_side
def test_a_sidecar_ends_within_a_second_after_a_worker_that_was_killed(namespace: WatchedNamespace) -> None:
    patched = start_patched(namespace, pod_of(["python3", WORKER, "after=50"], WELL_BEHAVED))
    patched.line("begin", "sidecar")
    worker = patched.line("begin").text.removeprefix("begin ")
    patched.delete()
    patched.line("heard TERM")
    patched.execute(["sh", "-c", f"echo killed >/proc/1/fd/1; kill -9 {worker}"])
    assert patched.until_gone() < RAISED / 2
    assert patched.exit_code() == KILLED
    assert patched.line("heard TERM", "sidecar").when - patched.line("killed").when < 1


# Jobs

WORK_AND_ACK = ["sh", "-c", "/programs/once 8; echo ack"]


def start_job(namespace: WatchedNamespace, name: str, command: list[str]) -> WatchedPod:
    template = patch(pod_of(command, restartPolicy="Never")).pod
    template["metadata"]["labels"]["test"] = name
    spec = {"backoffLimit": 0, "template": template}
    namespace.create_other({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})
    return namespace.await_pod("test", name)


@side_by_side
def test_a_job_that_is_deleted_during_its_work_finishes_the_work_and_acknowledges_it(
    namespace: WatchedNamespace,
) -> None:
    job = start_job(namespace, "work-and-ack", WORK_AND_ACK)
    job.line("begin")
    job.end()
    assert job.texts() == ["begin", "end", "ack"]
    assert job.exit_code() == 0
    assert job.seen["status"]["phase"] == "Succeeded"


@side_by_side
def test_a_job_that_is_deleted_before_its_work_begins_succeeds_only_if_the_work_is_done(
    namespace: WatchedNamespace,
) -> None:
    commands = (
        ["sh", "-c", "sleep 3; /programs/once 1 && echo ack"],
        ["python3", "/programs/once", "1"],
        ["/programs/celery", "worker", "late=3"],
    )
    for number, command in enumerate(commands):
        job = start_job(namespace, f"young-{number}", command)
        job.until_started()
        job.end()
        assert job.exit_code() != 0 or "end" in job.texts(), command


@side_by_side
def test_a_job_that_is_deleted_before_it_runs_does_not_succeed(namespace: WatchedNamespace) -> None:
    job = start_job(namespace, "never-ran", WORK_AND_ACK)
    job.end()
    assert "ack" in job.texts() or job.seen["status"]["phase"] != "Succeeded"


# Restarts

HANGING = ["hang=/state/hung"]
PROBE = {"exec": {"command": ["test", "!", "-e", "/tmp/hung"]}, "periodSeconds": 1, "failureThreshold": 1}


def until_restarted(pod: WatchedPod, container: str) -> float:
    """Return the seconds from the moment when a container hangs until it works again."""
    hung = pod.line("hung", container).when
    return pod.line("begin", container).when - hung


def check_restart(namespace: WatchedNamespace, command: list[str]) -> None:
    bare, patched = start_both(namespace, pod_of({"command": [*command, *HANGING, "after=7"], "livenessProbe": PROBE}))
    assert until_restarted(patched, "worker") < until_restarted(bare, "worker") + SLACK
    assert patched.restarts("worker") == 1
    patched.end()
    assert patched.texts()[-2:] == ["heard TERM", "end"]
    assert patched.exit_code() == 0


@side_by_side
def test_a_worker_that_hangs_is_restarted_as_quickly_and_still_drains(namespace: WatchedNamespace) -> None:
    check_restart(namespace, [WORKER])


@side_by_side
def test_a_worker_that_hangs_below_a_parent_is_restarted_as_quickly_and_still_drains(
    namespace: WatchedNamespace,
) -> None:
    check_restart(namespace, ["python3", WORKER])


@side_by_side
def test_a_sidecar_that_hangs_is_restarted_as_quickly_and_still_outlives_the_worker(
    namespace: WatchedNamespace,
) -> None:
    sidecar = {"command": [*WELL_BEHAVED, *HANGING], "livenessProbe": PROBE}
    bare, patched = start_both(namespace, pod_of([WORKER, "after=7"], sidecar))
    assert until_restarted(patched, "sidecar") < until_restarted(bare, "sidecar") + SLACK
    patched.end()
    assert (patched.exit_code(), patched.exit_code("sidecar")) == (0, 0)
    assert patched.line("heard TERM", "sidecar", 2).when > patched.line("end").when


# Signals


@side_by_side
def test_a_worker_that_installs_its_signal_handler_late_still_drains(namespace: WatchedNamespace) -> None:
    for command in ([WORKER], ["python3", WORKER]):
        patched = start_patched(namespace, pod_of([*command, "late=4", f"after={GRACE}"]))
        patched.line("environment")
        patched.end()
        assert patched.texts()[-2:] == ["heard TERM", "end"]
        assert patched.exit_code() == 0


@side_by_side
def test_a_worker_that_waits_with_sigwait_drains(namespace: WatchedNamespace) -> None:
    for command in ([WORKER], ["python3", WORKER]):
        patched = start_patched(namespace, pod_of([*command, "waits=sigwait", f"after={GRACE + 2}"]))
        patched.line("begin")
        patched.end()
        assert patched.texts()[-2:] == ["heard TERM", "end"]
        assert patched.exit_code() == 0


@side_by_side
def test_a_worker_that_ends_on_sigint_receives_no_other_signal(namespace: WatchedNamespace) -> None:
    for command in ([WORKER], ["python3", WORKER]):
        pod = pod_of([*command, "signal=INT", "waits=interrupt", f"after={GRACE + 2}"])
        patched = start_patched(namespace, annotated(pod, stop_signal="INT"))
        patched.line("begin")
        patched.end()
        assert patched.texts()[-2:] == ["heard INT", "end"]
        assert patched.count("heard") == 1
        assert patched.exit_code() == 0


# The environment


@side_by_side
def test_environment_names_that_a_shell_would_drop_reach_the_worker(namespace: WatchedNamespace) -> None:
    values = {"spring.rabbitmq.host": "rabbit", "with-dash": "1"}
    namespace.create_other({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "names"}, "data": values})
    sources: Json = {"env": [{"name": "app.queue", "value": "mail"}], "envFrom": [{"configMapRef": {"name": "names"}}]}
    logged = "environment app.queue spring.rabbitmq.host with-dash"
    for command in ([WORKER], ["python3", WORKER]):
        patched = start_patched(namespace, pod_of({"command": command, **sources}))
        assert patched.line("environment").text == logged
        patched.end()
    looped = start_patched(namespace, annotated(pod_of({"command": [WORKER], **sources}), mode="loop"))
    assert looped.line("environment").text == logged


# Pod settings and images


@side_by_side
def test_containers_in_a_shared_process_namespace_drain(namespace: WatchedNamespace) -> None:
    patched = start_patched(namespace, pod_of([WORKER, f"after={GRACE + 2}"], WELL_BEHAVED, shareProcessNamespace=True))
    patched.line("begin", "sidecar")
    patched.line("begin")
    patched.end()
    assert (patched.exit_code(), patched.exit_code("sidecar")) == (0, 0)
    assert 0 < seconds_after_the_worker(patched) < 1


@side_by_side
def test_a_worker_without_signal_handler_in_a_shared_process_namespace_ends_as_quickly(
    namespace: WatchedNamespace,
) -> None:
    was, now = end_together(
        *start_both(namespace, pod_of(WITHOUT_SIGNAL_HANDLER["python"], shareProcessNamespace=True))
    )
    assert now < was + SLACK


@side_by_side
def test_a_restricted_pod_drains(namespace: WatchedNamespace) -> None:
    context = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    worker = {"command": ["python3", WORKER, "after=7"], "securityContext": context}
    sidecar = {"command": WELL_BEHAVED, "securityContext": context}
    check_sidecar(namespace, pod_of(worker, sidecar, securityContext={"runAsUser": 1000, "runAsNonRoot": True}))


_TRAPPING = 'trap "echo heard TERM; sleep 7; echo end; exit 0" TERM; echo begin; while :; do sleep 0.2; done'


@needs_busybox
@side_by_side
def test_a_pod_of_busybox_drains(namespace: WatchedNamespace) -> None:
    worker = {"image": BUSYBOX, "command": ["sh", "-c", _TRAPPING]}
    patched = start_patched(namespace, pod_of(worker, {"image": BUSYBOX, "command": ["tail", "-F", "/dev/null"]}))
    patched.line("begin")
    assert patched.end() < 7 + GRACE + SLACK
    assert patched.texts() == ["begin", "heard TERM", "end"]
    assert (patched.exit_code(), patched.exit_code("sidecar")) == (0, KILLED)


# The loop, and shells


@side_by_side
def test_a_loop_ends_after_its_message_and_the_sidecar_after_the_loop(namespace: WatchedNamespace) -> None:
    pod = annotated(pod_of(["/programs/once", str(GRACE + 2)], WELL_BEHAVED), mode="loop")
    patched = start_patched(namespace, pod)
    patched.line("begin", "sidecar")
    patched.line("begin", number=2)
    patched.end()
    assert patched.texts() == ["begin", "end"] * 2
    assert patched.exit_code() == 0
    assert 0 < patched.line("heard TERM", "sidecar").when - patched.line("end", number=2).when < 1
    message = re.fullmatch(r"graceful-worker: loop drained in (\d+) s; runs: 2, longest: (\d+) s\n?", patched.message())
    assert message, patched.message()
    drain, longest = map(int, message.groups())
    assert 1 <= drain <= longest
    assert longest >= GRACE + 2


@side_by_side
def test_a_known_worker_below_a_shell_drains(namespace: WatchedNamespace) -> None:
    command = ["sh", "-c", "/programs/celery -A shop worker after=7; echo behind"]
    patched = start_patched(namespace, pod_of(command, WELL_BEHAVED))
    patched.line("begin", "sidecar")
    patched.line("begin")
    patched.end()
    assert patched.texts()[-3:] == ["heard TERM", "end", "behind"]
    assert patched.exit_code() == 0
    assert 0 < patched.line("heard TERM", "sidecar").when - patched.line("behind").when < 1


# The hooks


def test_no_hook_fails_unless_its_container_ends_first(running: Running) -> None:
    """A hook that blocks, so that the kubelet sends no signal, ends with its container; so does that of a short Job."""
    running.await_all()
    commands = [" ".join(pod.command()) for pod in running.namespace.pods_with_event("FailedPreStopHook")]
    assert [command for command in commands if "signal=INT" not in command and "/programs/once" not in command] == []
