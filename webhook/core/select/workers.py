"""Finds the worker containers of a pod."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from webhook.core.annotations import PREFIX, Settings, annotation_of
from webhook.core.errors import Refused
from webhook.core.formatting import listed, quoted
from webhook.core.image_config import Image, Images, image_argv
from webhook.core.pod import Container, Pod
from webhook.core.reasons import Reason
from webhook.core.recognize.frameworks import find_framework
from webhook.core.recognize.processes import suggests_worker
from webhook.core.status import Status
from webhook.core.third_party_keys import DEFAULT_CONTAINER
from webhook.core.wrapper import wrapped_command

MOST_WORKERS = 50
"""Each sidecar's hook names every worker, so the patch grows with the product of both numbers."""


class Worker(msgspec.Struct, frozen=True, gc=False):
    """A worker container, and why it is a worker."""

    container: Container
    reason: Reason


def find_workers(pod: Pod, settings: Settings, images: Images, recorded: Collection[str] = ()) -> list[Worker]:
    """Find the worker containers, using known images and an earlier injection's record.

    Raises:
        Refused: a named container is not a regular container of the pod, or there are too many workers.

    """
    workers = _find_workers(pod, settings, images, recorded)
    if len(workers) > MOST_WORKERS:
        raise Refused(
            Reason.TOO_MANY_WORKERS,
            detail=f"{len(workers)}; name at most {MOST_WORKERS} in annotation {annotation_of('containers')}",
        )
    return workers


def _find_workers(pod: Pod, settings: Settings, images: Images, recorded: Collection[str]) -> list[Worker]:
    """Find the worker containers: the named, else those with known commands, else the default, else the most likely.

    Every container with a known command is a worker. So is one beside it whose name says so: as a sidecar, its message
    would be cut off, or it would keep taking messages.
    """
    containers = pod.spec.containers
    if settings.containers:
        by_name = {container.name: container for container in containers}
        for name in settings.containers:
            if name not in by_name:
                detail = f"annotation {annotation_of('containers')} names {quoted(name)}; "
                detail += f"the pod's containers are {listed(by_name)}"
                raise Refused(Reason.CONTAINER_UNKNOWN, detail=detail)
        return [Worker(by_name[name], Reason.WORKER_NAMED) for name in settings.containers]
    known = [worker for container in containers if (worker := _known_worker(container, images, recorded))]
    if known:
        return _with_similar_names(known, containers)
    default = pod.annotations.get(DEFAULT_CONTAINER)
    for container in containers:
        if container.name == default:
            return [Worker(container, Reason.WORKER_DEFAULT)]
    return [_most_likely_worker(containers, images)]


def _with_similar_names(known: list[Worker], containers: Sequence[Container]) -> list[Worker]:
    by_name = {worker.container.name: worker for worker in known}
    found = []
    for container in containers:
        worker = by_name.get(container.name)
        if worker:
            found.append(worker)
        elif not _is_assistant(container) and suggests_worker(container.name, ""):
            found.append(Worker(container, Reason.WORKER_SAYS))
    return found


def _most_likely_worker(containers: Sequence[Container], images: Images) -> Worker:
    """Choose among unknown containers: one that does not serve, by its name or image.

    Raises:
        Refused: several containers are equally likely.

    """
    if len(containers) == 1:
        return Worker(containers[0], Reason.WORKER_FIRST)
    not_serving = [c for c in containers if not _is_assistant(c) and not _image_has_port(c, images)]
    # Workers may have ports, too, for metrics.
    candidates = not_serving or [c for c in containers if not c.hints.serves] or containers
    if len(candidates) == 1:
        return Worker(candidates[0], Reason.WORKER_LEFT)
    suggestive = [container for container in candidates if container.hints.suggests_worker]
    if len(suggestive) == 1:
        return Worker(suggestive[0], Reason.WORKER_SAYS)
    names = ", ".join(container.name for container in (suggestive or candidates)[:5])
    raise Refused(
        Reason.WORKERS_AMBIGUOUS,
        detail=f"{names}; name the workers in annotation {annotation_of('containers')}: NAME[,NAME...]",
    )


def _is_assistant(container: Container) -> bool:
    """Tell whether a container is clearly a server or helper: it has ports, a network probe, or a known image."""
    return _serves(container) or container.hints.serves


def _image_has_port(container: Container, images: Images) -> bool:
    image = images.get(container.name)
    return isinstance(image, Image) and image.serves and not container.command


def _known_worker(container: Container, images: Images, recorded: Collection[str]) -> Worker | None:
    command = container.command or ()
    image = None if command else images.get(container.name)
    if isinstance(image, Image):
        # An unknown entrypoint may still run the command in `args`.
        argvs = image_argv(image, container.args or ()), container.argv
        return Worker(container, Reason.WORKER_KNOWN) if any(_is_known(container, argv) for argv in argvs) else None
    if _is_known(container, wrapped_command([*command, *(container.args or ())])):
        return Worker(container, Reason.WORKER_KNOWN)
    return Worker(container, Reason.WORKER_RECORDED) if container.name in recorded else None


def _is_known(container: Container, argv: Sequence[str]) -> bool:
    return find_framework(container.expand(argv))[1] is not None


def find_lookups(pod: Pod, settings: Settings | None, status: Status | None, images: Images) -> tuple[str, ...]:
    """Return the names of possible workers whose images are worth looking up; none if the result would not matter.

    A failed lookup does not prevent protection: the pod is then protected by what is known.
    """
    if settings is None or status is not None or settings.command:
        return ()
    return tuple(
        container.name
        for container in pod.spec.containers
        if not container.command
        and not container.hints.serves
        and (not settings.containers or container.name in settings.containers)
        and container.name not in images
    )


def is_plainly_no_worker(pod: Pod, workers: list[Worker], images: Images) -> bool:
    """Tell whether an unlabelled pod looks like a server or an interactive terminal.

    An annotation under the prefix shows intent just like the label.
    """
    if any(key.startswith(PREFIX) for key in pod.annotations):
        return False
    if any(worker.reason in (Reason.WORKER_KNOWN, Reason.WORKER_RECORDED) for worker in workers):
        return False
    if any(isinstance(image, Image) and image.serves for image in images.values()):
        return True
    # A terminal is interactive, as with `kubectl run -it`; but some charts set one for workers, too.
    return any(_serves(each) or (each.tty and not each.hints.suggests_worker) for each in pod.spec.containers)


def _serves(container: Container) -> bool:
    return bool(container.ports) or any(
        probe.http_get is not None or probe.tcp_socket is not None or probe.grpc is not None
        for probe in container.probes
    )
