"""Who is a worker: whether a pod is one at all, and which of its containers are."""

from __future__ import annotations

import msgspec

from webhook.core.annotations import (
    LABEL,
    LABEL_DISABLED,
    LABEL_ENABLED,
    PREFIX,
    STATUS_ANNOTATION,
    Settings,
    annotation_of,
)
from webhook.core.frameworks import Found, find_framework
from webhook.core.images import Image, Images, Unavailable, image_argv
from webhook.core.pod import Container, Pod
from webhook.core.reasons import Reason
from webhook.core.refusal import Refused, listed, quoted
from webhook.core.wrapping import is_wrapped

MOST_WORKERS = 50
"""Each sidecar's hook names every worker, so the patch grows with the product of the two."""
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
MIRROR = "kubernetes.io/config.mirror"
OS_LABEL = "kubernetes.io/os"


class Worker(msgspec.Struct, frozen=True):
    """A worker container, why it is one, and what was found in its command line where that is why."""

    container: Container
    reason: Reason
    found: Found | None = None


def never_touched(pod: Pod) -> Reason | None:
    """Return why a pod must not be touched, whatever else it says; None where it may be."""
    if pod.labels.get(LABEL) == LABEL_DISABLED:
        return Reason.OPTED_OUT
    if MIRROR in pod.annotations:
        return Reason.MIRROR_POD
    declared = pod.spec.os and pod.spec.os.name
    if declared == "windows" or (pod.spec.node_selector or {}).get(OS_LABEL) == "windows":
        return Reason.WINDOWS_POD
    return None


def is_labelled(pod: Pod) -> bool:
    """Tell whether the pod's own label makes it a worker.

    Raises:
        Refused: the label has another value than the two that mean something.

    """
    value = pod.labels.get(LABEL)
    if value is None or value == LABEL_ENABLED:
        return value is not None
    raise Refused(
        Reason.LABEL_INVALID,
        detail=f"label {LABEL} is {quoted(value)}; write {LABEL_ENABLED} or {LABEL_DISABLED}",
    )


def find_workers(pod: Pod, settings: Settings, images: Images) -> list[Worker]:
    """Find the worker containers, by what is known of the images, too.

    Raises:
        Refused: a named container is not among the pod's regular containers, or the workers are too many.

    """
    workers = _find_workers(pod, settings, images)
    if len(workers) > MOST_WORKERS:
        raise Refused(
            Reason.TOO_MANY_WORKERS,
            detail=f"{len(workers)} of them; name at most {MOST_WORKERS} in annotation {annotation_of('containers')}",
        )
    return workers


def _find_workers(pod: Pod, settings: Settings, images: Images) -> list[Worker]:
    """Find the worker containers: the named, else those with a known command, else the default one, else the first.

    All containers with a known command are workers: as a sidecar, the second one would be cut off in mid-message.
    """
    containers = pod.spec.containers
    if settings.containers:
        by_name = {container.name: container for container in containers}
        return [Worker(_named(name, by_name), Reason.WORKER_NAMED) for name in settings.containers]
    known = [worker for container in containers if (worker := _known(container, images))]
    if known:
        return known
    default = pod.annotations.get(DEFAULT_CONTAINER)
    for container in containers:
        if container.name == default:
            return [Worker(container, Reason.WORKER_DEFAULT)]
    return [Worker(containers[0], Reason.WORKER_FIRST)]


def _named(name: str, by_name: dict[str, Container]) -> Container:
    if name in by_name:
        return by_name[name]
    raise Refused(
        Reason.CONTAINER_UNKNOWN,
        detail=f"annotation {annotation_of('containers')} names {quoted(name)}; "
        f"the pod's containers are {listed(by_name)}",
    )


def _known(container: Container, images: Images) -> Worker | None:
    argv = container.argv
    if is_wrapped(argv):
        return Worker(container, Reason.WORKER_WRAPPED)
    image = None if container.command else images.get(container.name)
    if isinstance(image, Image):
        found = find_framework(image_argv(image, container.args or ()))
        if found[1]:
            return Worker(container, Reason.WORKER_KNOWN, found)
        # An entrypoint that is not known may still run what `args` say.
        return Worker(container, Reason.WORKER_KNOWN) if find_framework(argv)[1] else None
    found = find_framework(argv)
    return Worker(container, Reason.WORKER_KNOWN, found) if found[1] else None


def images_to_ask(pod: Pod, workers: list[Worker], settings: Settings) -> tuple[str, ...]:
    """Return the containers whose images have to be asked for their commands, by name.

    Those of the workers, as far as these are known. Where the worker would be the default or the first container, and
    its command is not known, any other one whose command is not known either may be a known worker.
    """
    candidates = [worker.container for worker in workers]
    if settings.command or not any(map(_is_silent, candidates)):
        return ()
    if workers[0].reason in _FALLBACKS:
        candidates = pod.spec.containers
    return tuple(container.name for container in candidates if _is_silent(container))


def _is_silent(container: Container) -> bool:
    return not container.command and not is_wrapped(container.argv)


_FALLBACKS = (Reason.WORKER_DEFAULT, Reason.WORKER_FIRST)


def check_images(workers: list[Worker], images: Images) -> None:
    """Make sure that no other container may be a worker, as far as that hangs on an image.

    Raises:
        Refused: one of them may, because its registry has failed to tell; the next time it would tell, perhaps.

    """
    names = {worker.container.name for worker in workers}
    for name, image in images.items():
        if isinstance(image, Unavailable) and image.reason is not Reason.COMMAND_UNKNOWN and name not in names:
            way = f"{annotation_of('containers')} names the worker, or {annotation_of('command')} says what it runs"
            raise Refused(image.reason, name, image.without_asking(way))


def is_plainly_no_worker(pod: Pod, workers: list[Worker], images: Images) -> bool:
    """Tell whether a pod without the label looks like a server, or like somebody's terminal: the loop would never end.

    An annotation under the prefix says as plainly as the label that somebody thought of this pod.
    """
    if any(key.startswith(PREFIX) and key != STATUS_ANNOTATION for key in pod.annotations):
        return False
    if any(worker.reason in (Reason.WORKER_KNOWN, Reason.WORKER_WRAPPED) for worker in workers):
        return False
    if any(isinstance(image, Image) and image.serves for image in images.values()):
        return True
    return any(_serves(container) or container.tty for container in pod.spec.containers)


def _serves(container: Container) -> bool:
    probes = (container.liveness, container.readiness, container.startup)
    return bool(container.ports) or any(
        probe and (probe.http_get is not None or probe.tcp_socket is not None or probe.grpc is not None)
        for probe in probes
    )
