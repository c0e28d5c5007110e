"""The shell that runs the scripts: from the container's image, or injected into the pod."""

from __future__ import annotations

import msgspec

from webhook.core.annotations import INJECTED_SHELL
from webhook.core.errors import Refused
from webhook.core.formatting import quoted
from webhook.core.pod import Container, JsonObject, Pod
from webhook.core.policy import Policy, ShellSource
from webhook.core.reasons import Reason
from webhook.core.scripts import COPY_SHELL
from webhook.core.wrapper import COPIED_SHELL, MARKER, MOUNT_PATH, MOUNTED_SHELL, SHELL_MOUNT_PATH, SHELL_VOLUME, VOLUME

SHELL_CONTAINER = "graceful-worker-shell"
_USER = 65532
_ARGUMENTS = [MARKER, COPIED_SHELL.removesuffix("/sh")]


class InjectedShell(msgspec.Struct, frozen=True):
    """What injects the shell: an init container, or a volume and its mount."""

    init_container: JsonObject | None = None
    volume: JsonObject | None = None
    mount: JsonObject | None = None


def shell_path(setting: str, source: ShellSource) -> str:
    """Return the path of the shell that the annotation selects."""
    if setting != INJECTED_SHELL:
        return setting
    return COPIED_SHELL if source is ShellSource.INIT_CONTAINER else MOUNTED_SHELL


def plan_injected_shell(pod: Pod, policy: Policy, worker: Container) -> InjectedShell:
    """Return what injects the busybox of an image; an init container runs as the worker's user.

    Raises:
        Refused: a name or path of the injected shell is in use.

    """
    _check_names(pod, policy.shell_source)
    image = policy.shell_image
    if policy.shell_source is ShellSource.IMAGE_VOLUME:
        # https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes/
        volume = {"name": SHELL_VOLUME, "image": {"reference": image, "pullPolicy": "IfNotPresent"}}
        mount = {"name": SHELL_VOLUME, "mountPath": SHELL_MOUNT_PATH, "readOnly": True}
        return InjectedShell(volume=volume, mount=mount)
    resources = {"cpu": policy.shell_cpu, "memory": policy.shell_memory}
    return InjectedShell(init_container=_init_container(image, _user(pod, worker), resources))


def _check_names(pod: Pod, source: ShellSource) -> None:
    """Check that the names and paths of the injected shell are free."""
    for container in pod.spec.init_containers or ():
        if container.name == SHELL_CONTAINER and (container.command or ())[-2:] != _ARGUMENTS:
            raise _conflict(container.name, f"an init container is named {SHELL_CONTAINER}; rename it")
    volumes = pod.spec.volumes or ()
    if source is ShellSource.IMAGE_VOLUME and any(v.name == SHELL_VOLUME and v.image is None for v in volumes):
        raise _conflict("", f"volume {SHELL_VOLUME} is not an image volume; rename it")
    for container in pod.spec.containers:
        if container.name == SHELL_CONTAINER:
            raise _conflict(container.name, f"a container is named {SHELL_CONTAINER}; rename it")
        for mount in container.mounts or ():
            theirs = mount.path == SHELL_MOUNT_PATH and mount.name != SHELL_VOLUME
            if theirs or mount.path.startswith((f"{SHELL_MOUNT_PATH}/", COPIED_SHELL.removesuffix("/sh"))):
                detail = f"a volume is mounted at {quoted(mount.mount_path)}; mount it elsewhere"
                raise _conflict(container.name, detail)


def _conflict(container: str, detail: str) -> Refused:
    return Refused(Reason.SHELL_CONFLICT, container, detail)


def _user(pod: Pod, worker: Container) -> int | None:
    """Return the user to run as, never root; None if the pod's user is right.

    OpenShift assigns users from the namespace's range and rejects all others.
    https://docs.openshift.com/container-platform/4.16/authentication/managing-security-context-constraints.html
    """
    of_worker = worker.security.user if worker.security else None
    of_pod = pod.spec.security.user if pod.spec.security else None
    if of_worker:
        return of_worker if of_worker != of_pod else None
    # The image's own user is root.
    return None if of_pod else _USER


def _init_container(image: str, user: int | None, resources: JsonObject) -> JsonObject:
    security: JsonObject = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if user is not None:
        security["runAsUser"] = user
    return {
        "name": SHELL_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/busybox", "sh", "-c", COPY_SHELL, *_ARGUMENTS],
        # Request and limit are equal, so that a Guaranteed pod stays Guaranteed.
        "resources": {"requests": resources, "limits": resources},
        "securityContext": security,
        "volumeMounts": [{"name": VOLUME, "mountPath": MOUNT_PATH}],
    }
