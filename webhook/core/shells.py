"""The shell that runs the scripts: one of the container's image, or one that is brought into the pod."""

from __future__ import annotations

from enum import Enum

import msgspec

from webhook.core.annotations import INJECTED_SHELL
from webhook.core.pod import Container, JsonObject, Pod
from webhook.core.reasons import Reason
from webhook.core.refusal import Refused, quoted
from webhook.core.scripts import BRING_SHELL
from webhook.core.wrapping import (
    COPIED_SHELL,
    MARKER,
    MOUNT_PATH,
    MOUNTED_SHELL,
    SHELL_MOUNT_PATH,
    SHELL_VOLUME,
    VOLUME,
)

DEFAULT_IMAGE = (
    "docker.io/library/busybox:1.37.0-musl@sha256:5cec3fc171c87218698e85a52af7087de727372aae264a787b8112901a5b0092"
)
"""Holds a static busybox as /bin/busybox, for all platforms; of musl, as it is the smallest."""
CONTAINER = "graceful-worker-shell"
DEFAULT_CPU = "50m"
DEFAULT_MEMORY = "16Mi"
"""Less than what workers ask for: a pod asks for as much as the greediest of its init containers, or all its others."""
_USER = 65532
_ARGUMENTS = [MARKER, COPIED_SHELL.removesuffix("/sh")]


class Source(Enum):
    """How a shell comes into the pod."""

    INIT_CONTAINER = "init-container"
    IMAGE_VOLUME = "image-volume"


class Brought(msgspec.Struct, frozen=True):
    """What brings a shell into the pod: an init container, or a volume and where it is mounted."""

    init_container: JsonObject | None = None
    volume: JsonObject | None = None
    mount: JsonObject | None = None


def shell_path(setting: str, source: Source) -> str:
    """Return the path of the shell that the annotation asks for."""
    if setting != INJECTED_SHELL:
        return setting
    return COPIED_SHELL if source is Source.INIT_CONTAINER else MOUNTED_SHELL


def check_room(pod: Pod, source: Source) -> None:
    """Check that what brings a shell has its names and paths for itself.

    Raises:
        Refused: something else has one of them.

    """
    for container in pod.spec.init_containers or ():
        if container.name == CONTAINER and (container.command or ())[-2:] != _ARGUMENTS:
            raise _taken(container.name, f"an init container is named {CONTAINER}; rename it")
    volumes = pod.spec.volumes or ()
    if source is Source.IMAGE_VOLUME and any(v.name == SHELL_VOLUME and v.image is None for v in volumes):
        raise _taken("", f"volume {SHELL_VOLUME} is not an image volume; rename it")
    for container in pod.spec.containers:
        if container.name == CONTAINER:
            raise _taken(container.name, f"a container is named {CONTAINER}; rename it")
        for mount in container.mounts or ():
            theirs = mount.path == SHELL_MOUNT_PATH and mount.name != SHELL_VOLUME
            if theirs or mount.path.startswith((f"{SHELL_MOUNT_PATH}/", COPIED_SHELL.removesuffix("/sh"))):
                raise _taken(container.name, f"a volume is mounted at {quoted(mount.mount_path)}; mount it elsewhere")


def _taken(container: str, detail: str) -> Refused:
    return Refused(Reason.SHELL_CONFLICT, container, detail)


def bring(
    pod: Pod,
    image: str,
    source: Source,
    worker: Container | None = None,
    cpu: str = DEFAULT_CPU,
    memory: str = DEFAULT_MEMORY,
) -> Brought:
    """Return what brings an image's busybox into a pod; an init container runs as the worker's user."""
    if source is Source.IMAGE_VOLUME:
        # https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes/
        volume = {"name": SHELL_VOLUME, "image": {"reference": image, "pullPolicy": "IfNotPresent"}}
        return Brought(volume=volume, mount={"name": SHELL_VOLUME, "mountPath": SHELL_MOUNT_PATH, "readOnly": True})
    return Brought(init_container=_init_container(pod, image, worker, {"cpu": cpu, "memory": memory}))


def _user(pod: Pod, worker: Container | None) -> int | None:
    """Return as whom to run, but never as root; None where the pod's user is the right one.

    OpenShift gives each container a user of the namespace's range, and takes no pod with any other.
    https://docs.openshift.com/container-platform/4.16/authentication/managing-security-context-constraints.html
    """
    of_worker = worker.security.user if worker and worker.security else None
    of_pod = pod.spec.security.user if pod.spec.security else None
    if of_worker:
        return of_worker if of_worker != of_pod else None
    # The image's own user is root.
    return None if of_pod else _USER


def _init_container(pod: Pod, image: str, worker: Container | None, resources: JsonObject) -> JsonObject:
    security: JsonObject = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    user = _user(pod, worker)
    if user is not None:
        security["runAsUser"] = user
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/busybox", "sh", "-c", BRING_SHELL, *_ARGUMENTS],
        # Both alike, so that a pod of class Guaranteed stays one.
        "resources": {"requests": resources, "limits": resources},
        "securityContext": security,
        "volumeMounts": [{"name": VOLUME, "mountPath": MOUNT_PATH}],
    }
