"""The specification of an injected pod, independent of the code that injects it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from webhook.core.annotations import (
    DEFAULT_SHELL,
    INJECTED_LABEL,
    INJECTED_SHELL,
    STATUS_ANNOTATION,
    Settings,
    Sidecars,
    read_settings,
)
from webhook.core.plan.injected_shell import SHELL_CONTAINER
from webhook.core.pod import JsonObject
from webhook.core.policy import Policy, ShellSource
from webhook.core.recognize.frameworks import TABLE
from webhook.core.recognize.shell_less_images import explain_missing_shell
from webhook.core.third_party_keys import EVICTION_ANNOTATIONS, ISTIO_INJECT, ISTIO_NATIVE
from webhook.core.wrapper import (
    COPIED_SHELL,
    MOUNT_PATH,
    MOUNTED_SHELL,
    SHELL_MOUNT_PATH,
    SHELL_VOLUME,
    VOLUME,
    find_wrapper,
)

PATHS = (MOUNT_PATH, SHELL_MOUNT_PATH)
OURS = {ISTIO_INJECT, ISTIO_NATIVE, INJECTED_LABEL, STATUS_ANNOTATION, *EVICTION_ANNOTATIONS}
KEPT_HOOKS = ("httpGet", "tcpSocket", "sleep")
KUBERNETES_GRACE = 30


def check(before: JsonObject, after: JsonObject, policy: Policy) -> None:
    """Check that `after` is the protected form of `before`."""
    settings = read_settings(annotations_of(before))
    workers = json.loads(annotations_of(after)[STATUS_ANNOTATION])["workers"]
    spec = after["spec"]
    native = [container["name"] for container in before["spec"]["containers"] if container["name"] not in workers]
    check_init_containers(before, after, settings, native, policy)
    after = undo_sidecar_moves(before, after)
    spec = after["spec"]
    assert workers
    assert (after["metadata"]["labels"])[INJECTED_LABEL] == "true"
    assert any(volume["name"] == VOLUME and "emptyDir" in volume for volume in spec["volumes"])
    assert workers.keys() <= {container["name"] for container in spec["containers"]}
    grace = check_grace(before, after, settings, policy)
    for old, new in zip(before["spec"]["containers"], spec["containers"], strict=True):
        name = new["name"]
        if name in workers:
            check_worker(old, new, settings, workers[name], grace, shell_of(settings, policy))
            if (before["spec"].get("restartPolicy") or "Always") != "Always":
                assert workers[name]["mode"] == "signal"
        check_hook(old, new, settings, list(workers), shell_of(settings, policy))
    assert remaining_fields(before) == remaining_fields(after)


def shell_of(settings: Settings, policy: Policy) -> tuple[str, str]:
    """Return the path of the worker's shell, and the name under which its scripts run."""
    if settings.shell != INJECTED_SHELL:
        return settings.shell, VOLUME
    folder = COPIED_SHELL if policy.shell_source is ShellSource.INIT_CONTAINER else MOUNTED_SHELL
    folder = folder.removesuffix("/sh")
    return f"{folder}/sh", f"{folder}/{VOLUME}"


def check_init_containers(
    before: JsonObject, after: JsonObject, settings: Settings, sidecars: list[str], policy: Policy
) -> None:
    """Check the init containers: the original ones in their order, the one for the shell, and native sidecars."""
    names = [container["name"] for container in before["spec"].get("initContainers") or ()]
    if settings.shell == INJECTED_SHELL and policy.shell_source is ShellSource.INIT_CONTAINER:
        names.append(SHELL_CONTAINER)
    moved = sidecars if settings.sidecars is Sidecars.NATIVE else []
    init_containers = after["spec"].get("initContainers") or []
    now = [container["name"] for container in init_containers]
    # A sidecar that was added later may follow those that were moved earlier.
    assert sorted(now) == sorted([*names, *moved])
    assert [name for name in now if name not in moved] == names
    assert all(c["restartPolicy"] == "Always" for c in init_containers if c["name"] in moved)


def undo_sidecar_moves(before: JsonObject, after: JsonObject) -> JsonObject:
    """Return the pod with its native sidecars at their original places, and without the shell's init container."""
    after = deepcopy(after)
    spec = after["spec"]
    init_containers = spec.get("initContainers") or []
    regular = {container["name"]: container for container in (*init_containers, *spec["containers"])}
    there = {container["name"] for container in before["spec"].get("initContainers") or ()}
    spec["initContainers"] = [container for container in init_containers if container["name"] in there]
    spec["containers"] = [regular[container["name"]] for container in before["spec"]["containers"]]
    for old, new in zip(before["spec"]["containers"], spec["containers"], strict=True):
        new.pop("restartPolicy", None)
        if "restartPolicy" in old:
            new["restartPolicy"] = old["restartPolicy"]
    return after


def check_grace(before: JsonObject, after: JsonObject, settings: Settings, policy: Policy) -> int:
    given = before["spec"].get("terminationGracePeriodSeconds")
    old = KUBERNETES_GRACE if given is None else given
    grace: int = after["spec"]["terminationGracePeriodSeconds"]
    # It does not change if a worker may ignore signals and cannot have a parent.
    assert grace in (max(old, settings.grace_period or policy.grace_period), old)
    for was, now in zip(_long_running(before), _long_running(after), strict=True):
        for probe in ("livenessProbe", "startupProbe"):
            if was.get(probe) is not None:
                own = was[probe].get("terminationGracePeriodSeconds")
                expected = own if own is not None or grace == old else max(old, 1)
                assert now[probe].get("terminationGracePeriodSeconds") == expected
    return grace


def check_worker(
    old: JsonObject, new: JsonObject, settings: Settings, status: JsonObject, grace: int, expected: tuple[str, str]
) -> None:
    """Check the wrapper, and that the command is unchanged except for the flags that its framework needs."""
    command = new.get("command") or []
    before = [*(old.get("command") or ()), *(old.get("args") or ())]
    if find_wrapper(command):
        shell, dash_c, _, marker, folder, _ = command[:6]
        assert (shell, dash_c, marker, folder) == (expected[0], "-c", expected[1], f"{MOUNT_PATH}/{new['name']}")
        command = command[6:]
        before = [*(old.get("command") or settings.command or ()), *(old.get("args") or ())]
    else:
        assert status["mode"] == "signal"
    assert [*command, *(new.get("args") or ())] in _with_flags(before, status.get("framework"), status["mode"], grace)


def _with_flags(argv: list[str], name: str | None, mode: str, grace: int) -> Iterator[list[str]]:
    """Yield the argv, and every way to insert some of the framework's flags at one place, and to lower others."""
    yield argv
    room = max(grace - 10, 1)
    values = {"grace_seconds": room, "grace_milliseconds": room * 1000}
    flags = [flag for row in TABLE.framework for flag in row.flags if row.name == name and flag.mode.value == mode]
    lowered = argv
    for flag in flags:
        if flag.lowers:
            lowered = [
                flag.add[0] if word.partition("=")[0] in flag.names and "=" in word else word for word in lowered
            ]
    yield lowered
    added = [[word.format(**values) for word in flag.add] for flag in flags]
    for chosen in (added, *([words] for words in added)):
        inserted = [word for words in chosen for word in words]
        for start in (argv, lowered):
            for position in range(1, len(start) + 1):
                yield [*start[:position], *inserted, *start[position:]]


def check_hook(
    old: JsonObject, new: JsonObject, settings: Settings, workers: list[str], worker_shell: tuple[str, str]
) -> None:
    before = (old.get("lifecycle") or {}).get("preStop") or {}
    is_worker = new["name"] in workers
    if not is_worker and settings.sidecars is not Sidecars.HOOK:
        assert _without_empty_values(without_parent(old)) == _without_empty_values(without_parent(new))
        return
    if not is_worker and settings.shell != INJECTED_SHELL and is_shell_less(new):
        assert new.get("lifecycle") == old.get("lifecycle")
        return
    assert any(m["name"] == VOLUME and m["mountPath"] == MOUNT_PATH for m in new["volumeMounts"])
    if any(before.get(kind) is not None for kind in KEPT_HOOKS) or (
        not is_worker and settings.shell != INJECTED_SHELL and is_shell_less(new)
    ):
        assert new.get("lifecycle") == old.get("lifecycle")
        return
    if is_worker and settings.shell == DEFAULT_SHELL and is_shell_less(new):
        assert new.get("lifecycle") == old.get("lifecycle")
        return
    command = new["lifecycle"]["preStop"]["exec"]["command"]
    own_command = (before.get("exec") or {}).get("command") or []
    shell, name = worker_shell if is_worker or settings.shell == INJECTED_SHELL else (DEFAULT_SHELL, VOLUME)
    assert [command[0], command[1], command[3]] == [shell, "-c", name]
    if is_worker:
        assert command[4] == f"{MOUNT_PATH}/{new['name']}"
    else:
        assert command[4] in ("", f"{MOUNT_PATH}/{new['name']}")
        folders, _, own_hook_limit = command[5].partition(";")
        assert sorted(folders.split(" ")) == sorted(f"{MOUNT_PATH}/{name}" for name in workers)
        assert own_hook_limit.isdigit() is bool(own_command)
    assert command[6:] == own_command


def without_parent(container: JsonObject) -> JsonObject:
    """Return a native sidecar without its probes' grace periods, and without a parent that was added to it."""
    container = deepcopy(container)
    for probe in ("livenessProbe", "startupProbe"):
        (container.get(probe) or {}).pop("terminationGracePeriodSeconds", None)
    command = container.get("command") or []
    if not find_wrapper(command):
        return container
    assert command[4] == f"{MOUNT_PATH}/{container['name']}"
    container["command"] = command[6:]
    mounts = container["volumeMounts"]
    assert any(mount["mountPath"] == MOUNT_PATH for mount in mounts)
    container["volumeMounts"] = [mount for mount in mounts if mount["mountPath"] not in PATHS]
    handler = ((container.get("lifecycle") or {}).get("preStop") or {}).get("exec") or {}
    if find_wrapper(handler.get("command") or []):
        handler["command"] = handler["command"][6:]
    return container


def is_shell_less(container: JsonObject) -> bool:
    return bool(explain_missing_shell(container.get("image") or "", container["name"]))


def annotations_of(pod: JsonObject) -> dict[str, str]:
    return (pod.get("metadata") or {}).get("annotations") or {}


def remaining_fields(pod: JsonObject) -> JsonObject:
    """Return the parts of a pod that graceful-worker must not change; empty and absent are the same here."""
    rest = deepcopy(pod)
    metadata = rest.get("metadata") or {}
    for field in ("labels", "annotations"):
        metadata[field] = {key: value for key, value in (metadata.get(field) or {}).items() if key not in OURS}
    spec = rest["spec"]
    spec.pop("terminationGracePeriodSeconds", None)
    spec["volumes"] = [volume for volume in spec.get("volumes") or () if volume["name"] not in (VOLUME, SHELL_VOLUME)]
    if spec.get("initContainers"):
        spec["initContainers"] = list(map(without_parent, spec["initContainers"]))
    for container in spec["containers"]:
        for probe in ("livenessProbe", "startupProbe"):
            (container.get(probe) or {}).pop("terminationGracePeriodSeconds", None)
    for container in spec["containers"]:
        container.pop("command", None)
        container.pop("args", None)
        container["volumeMounts"] = [m for m in container.get("volumeMounts") or () if m["mountPath"] not in PATHS]
        for key in ("lifecycle", "preStop", "exec"):
            container = container.get(key) or {}  # noqa: PLW2901
        container.pop("command", None)
    meaning: dict[str, Any] = _without_empty_values(rest)
    return meaning


def _without_empty_values(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: _without_empty_values(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item not in (None, {}, [])}
    return [_without_empty_values(item) for item in value] if isinstance(value, list) else value


def _long_running(pod: JsonObject) -> list[JsonObject]:
    """Return the containers with relevant probes: regular ones and native sidecars."""
    spec = pod["spec"]
    native = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [*spec["containers"], *native]
