"""Checks that the shared volume's name and mount path are free."""

from __future__ import annotations

from collections.abc import Set

from webhook.core.errors import Refused
from webhook.core.formatting import quoted
from webhook.core.pod import Pod
from webhook.core.reasons import Finding, Reason
from webhook.core.wrapper import MOUNT_PATH, VOLUME

VOLUME_SHARED = Finding(Reason.VOLUME_SHARED, detail=f"{VOLUME}, at {MOUNT_PATH}")


def check_shared_volume(pod: Pod, mounted: Set[str], workers: Set[str]) -> None:
    """Check that the containers can mount the shared volume, and the workers can write to it.

    Raises:
        Refused: its name or mount path is in use.

    """
    for volume in pod.spec.volumes or ():
        if volume.is_shared and not volume.empty_dir:
            raise Refused(Reason.VOLUME_CONFLICT, detail=f"volume {VOLUME} is not an emptyDir; rename your volume")
    for container in (*pod.spec.containers, *(pod.spec.init_containers or ())):
        if container.name not in mounted:
            continue
        for mount in container.mounts or ():
            if mount.is_shared and (mount.name != VOLUME or (mount.read_only and container.name in workers)):
                raise Refused(
                    Reason.VOLUME_CONFLICT,
                    container.name,
                    f"{MOUNT_PATH} is the mount path of volume {quoted(mount.name)}"
                    f"{', read-only' if mount.read_only else ''}; mount it elsewhere",
                )
