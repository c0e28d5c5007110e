"""How containers end, and how they are restarted."""

from __future__ import annotations

import itertools
import time

import pytest

from tests.node.conftest import BACK_OFF, hook, output, pod, seconds_of_event, shell
from tests.node.kubelet import RunningPod
from tests.node.node import Node
from tests.protocol.pods import until

SERVE = "trap 'echo TERM; exit 0' TERM; while :; do sleep 0.05; done"
NEVER_ENDS = "trap '' TERM; while :; do sleep 0.05; done"


def start_pod(node: Node, manifest: dict[str, object]) -> RunningPod:
    running = node.run(manifest)
    until("the pod is ready", lambda: running.ready)
    time.sleep(0.1)  # until the scripts have set their traps
    return running


def run_and_delete(node: Node, manifest: dict[str, object], grace: float | None = None) -> RunningPod:
    """Run a pod, delete it, and wait until it is gone."""
    running = start_pod(node, manifest)
    running.delete(grace)
    until("the pod is gone", running.gone.is_set)
    return running


def test_the_stop_signal_follows_the_hook(node: Node) -> None:
    running = run_and_delete(node, pod(shell(SERVE, lifecycle=hook("sleep 0.3"))))
    assert (
        seconds_of_event(running, "hook begins") + 0.3
        <= seconds_of_event(running, "stop signal")
        < seconds_of_event(running, "ended")
    )
    assert output(running) == "TERM\n"


def test_the_hooks_of_all_containers_run_at_once(node: Node) -> None:
    running = run_and_delete(node, pod(*(shell(SERVE, name=name, lifecycle=hook("sleep 0.5")) for name in ("a", "b"))))
    assert abs(seconds_of_event(running, "hook begins", "a") - seconds_of_event(running, "hook begins", "b")) < 0.4


def test_a_hook_that_fails_is_followed_by_the_stop_signal(node: Node) -> None:
    assert output(run_and_delete(node, pod(shell(SERVE, lifecycle=hook("exit 1"))))) == "TERM\n"


def test_a_hook_that_cannot_be_run_is_followed_by_the_stop_signal(node: Node) -> None:
    running = start_pod(node, pod(shell(SERVE, lifecycle=hook("touch /shared/ran"))))
    running.hooks_fail = True
    running.delete()
    until("the pod is gone", running.gone.is_set)
    assert output(running) == "TERM\n"


def test_a_hook_has_not_ended_while_a_child_holds_its_output_open(node: Node) -> None:
    running = run_and_delete(node, pod(shell(SERVE, lifecycle=hook("sleep 0.5 &"))))
    assert seconds_of_event(running, "stop signal") - seconds_of_event(running, "hook begins") >= 0.5


def test_a_process_that_does_not_end_is_killed_after_the_grace_period(node: Node) -> None:
    running = run_and_delete(node, pod(shell(NEVER_ENDS), grace=1))
    assert 2 <= seconds_of_event(running, "killed") - seconds_of_event(running, "stop signal") < 3  # 2 s at least
    assert running.state("main").exit_codes == [137]


def test_the_duration_of_the_hook_counts_towards_the_grace_period(node: Node) -> None:
    running = run_and_delete(node, pod(shell(NEVER_ENDS, lifecycle=hook("sleep 1")), grace=4))
    assert 3.9 <= seconds_of_event(running, "killed") - seconds_of_event(running, "deleted", "") < 5


def test_an_eviction_can_shorten_the_grace_period(node: Node) -> None:
    running = run_and_delete(node, pod(shell(NEVER_ENDS), grace=60), grace=3)
    assert seconds_of_event(running, "killed") - seconds_of_event(running, "deleted", "") < 4


def test_a_container_can_have_its_own_stop_signal(node: Node) -> None:
    script = "trap 'echo QUIT; exit 0' QUIT; while :; do sleep 0.05; done"
    assert output(run_and_delete(node, pod(shell(script, lifecycle={"stopSignal": "SIGQUIT"})))) == "QUIT\n"


def test_native_sidecars_end_after_the_containers_in_reverse_order(node: Node) -> None:
    sidecars = [shell(SERVE, name=name, restartPolicy="Always") for name in ("first", "second")]
    slow = shell("trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.05; done")
    running = run_and_delete(node, pod(slow, initContainers=sidecars))
    assert (
        seconds_of_event(running, "ended")
        < seconds_of_event(running, "ended", "second")
        < seconds_of_event(running, "ended", "first")
    )


def test_a_restarted_kubelet_ends_the_pod_again(node: Node) -> None:
    running = start_pod(node, pod(shell("trap 'echo TERM' TERM; until [ -e /shared/go ]; do sleep 0.05; done")))
    running.delete()
    until("the first signal", lambda: "TERM" in output(running))
    running.terminate_again()
    until("the second signal", lambda: output(running) == "TERM\nTERM\n")


def test_a_failed_liveness_probe_restarts_its_container_on_the_same_volume(node: Node) -> None:
    probe = {"exec": {"command": ["test", "!", "-e", "/tmp/hung"]}, "periodSeconds": 0.1, "failureThreshold": 1}
    script = f"echo run >> /shared/runs; {SERVE}"
    running = start_pod(node, pod(shell(script, livenessProbe=probe), shell(SERVE, name="other")))
    running.exec("main", ["touch", "/tmp/hung"])
    until("a second run", lambda: running.exec("main", ["grep", "-c", "run", "/shared/runs"]) is not None)
    until("the restart", lambda: running.state("main").restarts == 1 and running.ready)
    assert running.exec("main", ["/bin/sh", "-c", "[ $(wc -l < /shared/runs) = 2 ]"]) == 0
    assert running.state("other").restarts == 0


def test_a_probe_can_have_its_own_grace_period(node: Node) -> None:
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 60, "terminationGracePeriodSeconds": 2}
    running = start_pod(node, pod(shell(NEVER_ENDS, livenessProbe=probe), grace=60))
    running.fail_liveness("main")
    until("the restart", lambda: running.state("main").restarts == 1)
    assert running.state("main").exit_codes == [137]


def test_the_first_restart_is_at_once_and_the_next_ones_back_off(node: Node) -> None:
    running = node.run(pod(shell("exit 3")))
    until("four runs", lambda: len(running.state("main").exit_codes) == 4)
    starts = [event.when / 1e9 for event in running.events if event.what == "started"]
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert pauses[0] < BACK_OFF <= pauses[1] < 2 * BACK_OFF <= pauses[2]


@pytest.mark.parametrize(("policy", "code", "restarts"), [("Never", 1, 0), ("OnFailure", 0, 0), ("OnFailure", 1, 1)])
def test_the_restart_policy_is_followed(node: Node, policy: str, code: int, restarts: int) -> None:
    script = f"[ -e /shared/ran ] && exit 0; touch /shared/ran; exit {code}"
    running = node.run(pod(shell(script), restartPolicy=policy))
    until("all runs", lambda: len(running.state("main").exit_codes) == restarts + 1)
    time.sleep(0.1)
    assert running.state("main").restarts == restarts


def test_running_out_of_memory_kills_all_processes_of_one_container_only(node: Node) -> None:
    containers = (shell("sleep 60 & sleep 61; wait"), shell("sleep 62 & wait", name="other"))
    running = start_pod(node, pod(*containers, shareProcessNamespace=True, restartPolicy="Never"))
    running.run_out_of_memory("main")
    until("the kill", lambda: running.state("main").exit_codes == [137])
    look = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q 'sleep 6[01] '"
    assert running.exec("other", ["/bin/sh", "-c", look]) == 1
    assert running.state("other").running


def test_init_containers_run_one_after_the_other(node: Node) -> None:
    slow, fast = shell("sleep 0.3", name="slow"), shell("true", name="fast")
    running = node.run(pod(shell("true"), initContainers=[slow, fast], restartPolicy="Never"))
    until("the pod has run", lambda: running.exit_codes("main"))
    assert seconds_of_event(running, "ended", "slow") <= seconds_of_event(running, "started", "fast")
    assert seconds_of_event(running, "ended", "fast") <= seconds_of_event(running, "started")


def test_a_native_sidecar_starts_in_the_order_of_the_init_containers(node: Node) -> None:
    before = shell("true", name="before")
    sidecar = shell("touch /shared/serves; exec sleep 60", name="sidecar", restartPolicy="Always")
    after = shell("until [ -e /shared/serves ]; do sleep 0.02; done", name="after")
    running = start_pod(node, pod(shell(SERVE), initContainers=[before, sidecar, after]))
    assert seconds_of_event(running, "ended", "before") <= seconds_of_event(running, "started", "sidecar")
    assert running.state("sidecar").running


def test_a_failed_init_container_is_restarted_with_back_off(node: Node) -> None:
    init = shell('echo run >> /shared/runs; [ "$(wc -l < /shared/runs)" = 3 ]', name="init")
    running = start_pod(node, pod(shell(SERVE), initContainers=[init]))
    assert running.exit_codes("init") == [1, 1, 0]
    assert seconds_of_event(running, "started") - seconds_of_event(running, "started", "init") >= BACK_OFF


def test_a_failed_init_container_ends_a_pod_with_the_restart_policy_never(node: Node) -> None:
    running = node.run(pod(shell("true"), initContainers=[shell("exit 1", name="init")], restartPolicy="Never"))
    until("the init container has failed", lambda: running.exit_codes("init") == [1])
    time.sleep(0.2)
    assert running.exit_codes("init") == [1]
    assert not running.has_started("main")


def test_a_pod_can_be_deleted_while_an_init_container_runs(node: Node) -> None:
    running = node.run(pod(shell("true"), initContainers=[shell(SERVE, name="init")]))
    until("the init container runs", lambda: running.state("init").running)
    time.sleep(0.1)  # until the script has set its trap
    running.delete()
    until("the pod is gone", running.gone.is_set)
    assert output(running, "init") == "TERM\n"
    assert not running.has_started("main")


def test_a_native_sidecar_can_have_a_liveness_probe(node: Node) -> None:
    probe = {"exec": {"command": ["test", "!", "-e", "/tmp/hung"]}, "periodSeconds": 0.1, "failureThreshold": 1}
    sidecar = shell(SERVE, name="sidecar", restartPolicy="Always", livenessProbe=probe)
    running = start_pod(node, pod(shell(SERVE), initContainers=[sidecar]))
    running.exec("sidecar", ["touch", "/tmp/hung"])
    until("the restart", lambda: running.restarts("sidecar") == 1)
    assert running.restarts("main") == 0


def test_a_restarted_kubelet_ends_native_sidecars_after_the_containers_too(node: Node) -> None:
    sidecar = shell(SERVE, name="sidecar", restartPolicy="Always")
    main = shell("trap 'echo TERM' TERM; until [ -e /shared/go ]; do sleep 0.05; done")
    running = start_pod(node, pod(main, initContainers=[sidecar]))
    running.delete()
    until("the first signal", lambda: "TERM" in output(running))
    running.terminate_again()
    until("the second signal", lambda: output(running) == "TERM\nTERM\n")
    assert running.state("sidecar").running
    running.exec("main", ["touch", "/shared/go"])
    until("the pod is gone", running.gone.is_set)
    assert seconds_of_event(running, "ended") < seconds_of_event(running, "ended", "sidecar")
