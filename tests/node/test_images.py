"""The files in a container whose image has its own root file system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.node.conftest import output, pod, shell
from tests.node.images import busybox_image, busybox_refusal, compiler_refusal, static_image
from tests.node.node import Node
from tests.node.specification import Json
from tests.protocol.pods import until

LOOK = Path(__file__).parent / "programs" / "look.c"
PLACES = ["/look", "/proc/self", "/dev/null", "/shared", "/usr", "/bin", "/etc", "/lib", "/tmp"]

needs_busybox = pytest.mark.skipif(bool(busybox_refusal()), reason=busybox_refusal())
needs_compiler = pytest.mark.skipif(bool(compiler_refusal()), reason=compiler_refusal())


@pytest.fixture
def static(node: Node, directory: Path) -> Node:
    """A node with an image that contains a single static program."""
    node.images["static"] = static_image(directory / "static", LOOK, "/look")
    return node


@pytest.fixture
def busybox(node: Node, directory: Path) -> Node:
    """A node with an image that contains a static busybox."""
    node.images["busybox"] = busybox_image(directory / "busybox", ("sh", "ls", "touch"))
    return node


def listing_container(*places: str, **fields: Any) -> Json:
    """Return a container that prints which of the given paths exist."""
    return {**shell("", **fields), "image": "static", "command": ["/look"], "args": list(places)}


def output_of(node: Node, *containers: Json) -> str:
    """Run a pod to its end, and return the output of its last container."""
    running = node.run(pod(*containers, restartPolicy="Never"))
    last = containers[-1]["name"]
    until("the container has run", lambda: running.exit_codes(last))
    return output(running, last)


@needs_compiler
def test_a_static_image_contains_only_its_program_and_the_mounts_of_the_runtime_and_the_pod(static: Node) -> None:
    assert output_of(static, listing_container(*PLACES)).split() == ["/look", "/proc/self", "/dev/null", "/shared"]


@needs_compiler
def test_a_static_image_can_be_read_only_with_an_unprivileged_user(static: Node) -> None:
    context = {"runAsUser": 1000, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert output_of(static, listing_container("/shared", securityContext=context)) == "/shared\n"


@needs_compiler
def test_a_container_of_another_image_has_the_programs_of_this_machine(static: Node) -> None:
    unknown = shell("[ -d /usr/bin ] && echo here", name="other", image="docker.io/library/other")
    assert output_of(static, listing_container("/look"), unknown) == "here\n"


@needs_busybox
def test_an_image_needs_only_a_static_busybox(busybox: Node) -> None:
    assert output_of(busybox, shell("ls /bin", image="busybox")).split() == ["busybox", "ls", "sh", "touch"]


@needs_busybox
def test_a_containers_writes_to_its_root_are_invisible_to_other_containers(busybox: Node) -> None:
    writer = shell("touch /bin/mine && ls /bin/mine", name="writer", image="busybox")
    reader = shell("ls /bin/mine || echo none", image="busybox")
    running = busybox.run(pod(reader, initContainers=[writer], restartPolicy="Never"))
    until("the pod has run", lambda: running.exit_codes("main"))
    assert output(running, "writer") == "/bin/mine\n"
    assert output(running).endswith("none\n")


@needs_busybox
def test_an_image_can_be_a_volume_of_a_container_with_another_image(busybox: Node) -> None:
    mounts = [{"name": "tools", "mountPath": "/tools"}]
    manifest = pod(shell("/tools/bin/ls /tools; touch /tools/x || echo read-only", volumeMounts=mounts))
    manifest["spec"]["volumes"].append({"name": "tools", "image": {"reference": "busybox"}})
    running = busybox.run(manifest)
    until("the container has run", lambda: running.exit_codes("main"))
    words = output(running).split()
    assert (words[0], words[-1]) == ("bin", "read-only")
