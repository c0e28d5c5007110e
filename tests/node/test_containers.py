"""The environment in which a container's process starts."""

from __future__ import annotations

from typing import Any

from tests.node.conftest import output, pod, shell
from tests.node.node import Node
from tests.protocol.pods import until


def run_and_read(node: Node, manifest: dict[str, object], container: str = "main") -> str:
    """Run a pod to its end, and return the output of a container."""
    running = node.run(manifest)
    until("the container has run", lambda: running.started.is_set() and not running.state(container).running)
    return output(running, container)


def pod_that_runs_once(script: str, **fields: Any) -> dict[str, object]:
    return pod(shell(script, **fields), restartPolicy="Never")


def test_variables_and_double_dollars_are_expanded_in_command_and_args(node: Node) -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2 $(REDIS_SERVICE_HOST)"}]
    script = 'echo "$(A) $$B $$0 $$1 $$2"'
    assert (
        run_and_read(node, pod_that_runs_once(script, args=["zero", "$(B)", "$(NONE)"], env=env))
        == "1 12 10.0.0.1 zero 12 10.0.0.1 $(NONE)\n"
    )


def test_the_host_name_is_the_name_of_the_pod(node: Node) -> None:
    assert run_and_read(node, pod_that_runs_once("echo $HOSTNAME; uname -n")) == "pod-1\npod-1\n"


def test_the_first_process_is_process_1_of_its_own_pid_namespace(node: Node) -> None:
    assert run_and_read(node, pod_that_runs_once("echo $$$$")) == "1\n"


def test_containers_see_each_others_processes_if_the_pod_shares_its_pid_namespace(node: Node) -> None:
    look = "until grep -lq sleep /proc/[0-9]*/comm; do sleep 0.02; done; echo $$$$"
    containers = (shell(look), shell("exec sleep 60", name="other"))
    assert int(run_and_read(node, pod(*containers, restartPolicy="Never", shareProcessNamespace=True))) > 1


def test_user_group_and_working_directory_are_as_in_the_pod(node: Node) -> None:
    context = {"runAsUser": 1000, "runAsGroup": 2000}
    assert (
        run_and_read(node, pod_that_runs_once("id -u; id -g; pwd", securityContext=context, workingDir="/usr"))
        == "1000\n2000\n/usr\n"
    )


def test_a_command_executed_in_a_container_has_its_user(node: Node) -> None:
    running = node.run(pod(shell("sleep 60", securityContext={"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}})))
    until("the pod is ready", lambda: running.ready)
    assert running.exec("main", ["/bin/sh", "-c", "[ $(id -u) = 1000 ]"]) == 0


def test_a_read_only_root_cannot_be_written_to_but_a_volume_can(node: Node) -> None:
    script = "touch /tmp/x 2>/dev/null || echo read-only; touch /shared/x && echo written"
    assert (
        run_and_read(node, pod_that_runs_once(script, securityContext={"readOnlyRootFilesystem": True}))
        == "read-only\nwritten\n"
    )


def test_every_user_can_write_to_the_shared_volume(node: Node) -> None:
    writer = shell("umask 022; mkdir /shared/a && echo hello > /shared/a/b", securityContext={"runAsUser": 1000})
    reader = shell(
        "until cat /shared/a/b 2>/dev/null; do sleep 0.02; done", name="reader", securityContext={"runAsUser": 2000}
    )
    assert run_and_read(node, pod(writer, reader, restartPolicy="Never"), "reader") == "hello\n"


def test_init_containers_end_before_the_containers_start(node: Node) -> None:
    init = shell("sleep 0.1; echo ready > /shared/state", name="init")
    assert (
        run_and_read(node, pod(shell("cat /shared/state"), initContainers=[init], restartPolicy="Never")) == "ready\n"
    )
