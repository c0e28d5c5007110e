"""The shell that runs the scripts: one of the container's image, or one that is brought into the pod."""

from __future__ import annotations

from enum import Enum

import msgspec

from webhook.core.annotations import INJECTED_SHELL
from webhook.core.pod import JsonObject, Pod
from webhook.core.wrapping import (
    BRING_SHELL_SCRIPT,
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
_USER = 65532


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


def bring(pod: Pod, image: str, source: Source) -> Brought:
    """Return what brings an image's busybox into a pod."""
    if source is Source.IMAGE_VOLUME:
        # https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes/
        volume = {"name": SHELL_VOLUME, "image": {"reference": image, "pullPolicy": "IfNotPresent"}}
        return Brought(volume=volume, mount={"name": SHELL_VOLUME, "mountPath": SHELL_MOUNT_PATH, "readOnly": True})
    return Brought(init_container=_init_container(pod, image))


def _init_container(pod: Pod, image: str) -> JsonObject:
    security: JsonObject = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if not (pod.spec.security and pod.spec.security.user):
        # The image's own is root.
        security["runAsUser"] = _USER
    # Both alike, so that a pod of class Guaranteed stays one; and less than what workers ask for, as a pod asks for as
    # much as the greediest of its init containers, or all its containers together.
    resources = {"cpu": "50m", "memory": "16Mi"}
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/busybox", "sh", "-c", BRING_SHELL_SCRIPT, MARKER, COPIED_SHELL.rpartition("/")[0]],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": security,
        "volumeMounts": [{"name": VOLUME, "mountPath": MOUNT_PATH}],
    }
