"""What an injected pod must be, said independently of the code that makes it so."""

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
from webhook.core.decision import EVICTION_ANNOTATIONS, Policy
from webhook.core.frameworks import TABLE
from webhook.core.meshes import ISTIO_INJECT, ISTIO_NATIVE, PROXIES
from webhook.core.pod import JsonObject
from webhook.core.shells import CONTAINER, Source
from webhook.core.wrapping import (
    AWAITS_CHILD,
    COPIED_SHELL,
    MOUNT_PATH,
    MOUNTED_SHELL,
    SHELL_MOUNT_PATH,
    SHELL_VOLUME,
    SIDECAR_HOOK_SCRIPT,
    VOLUME,
    WORKER_HOOK_SCRIPT,
    WORKER_SCRIPT,
)

PATHS = (MOUNT_PATH, SHELL_MOUNT_PATH)
OURS = {ISTIO_INJECT, ISTIO_NATIVE, INJECTED_LABEL, STATUS_ANNOTATION, *EVICTION_ANNOTATIONS}
KEPT_HOOKS = ("httpGet", "tcpSocket", "sleep")
KUBERNETES_GRACE = 30


def check(before: JsonObject, after: JsonObject, policy: Policy) -> None:
    """Check that `after` is `before`, protected."""
    settings = read_settings(annotations_of(before))
    workers = json.loads(annotations_of(after)[STATUS_ANNOTATION])["workers"]
    spec = after["spec"]
    native = [container["name"] for container in before["spec"]["containers"] if container["name"] not in workers]
    check_init_containers(before, after, settings, native, policy)
    after = with_sidecars_back(before, after)
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
    assert untouched(before) == untouched(after)


def shell_of(settings: Settings, policy: Policy) -> tuple[str, str]:
    """Return the path of the worker's shell, and the name that its scripts get."""
    if settings.shell != INJECTED_SHELL:
        return settings.shell, VOLUME
    folder = COPIED_SHELL if policy.shell_source is Source.INIT_CONTAINER else MOUNTED_SHELL
    folder = folder.removesuffix("/sh")
    return f"{folder}/sh", f"{folder}/{VOLUME}"


def check_init_containers(
    before: JsonObject, after: JsonObject, settings: Settings, sidecars: list[str], policy: Policy
) -> None:
    """Check the init containers: those that were there, in their order, what brings the shell, and native sidecars."""
    names = [container["name"] for container in before["spec"].get("initContainers") or ()]
    if settings.shell == INJECTED_SHELL and policy.shell_source is Source.INIT_CONTAINER:
        names.append(CONTAINER)
    moved = sidecars if settings.sidecars is Sidecars.NATIVE else []
    init_containers = after["spec"].get("initContainers") or []
    now = [container["name"] for container in init_containers]
    # One that came later may stand behind those that were moved before it.
    assert sorted(now) == sorted([*names, *moved])
    assert [name for name in now if name not in moved] == names
    assert all(c["restartPolicy"] == "Always" for c in init_containers if c["name"] in moved)


def with_sidecars_back(before: JsonObject, after: JsonObject) -> JsonObject:
    """Return a pod whose native sidecars are where they were, and which lacks what brings a shell."""
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
    assert grace == max(old, settings.grace_period or policy.grace_period)
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
    """Check the wrapper, and that behind it the worker's argv is intact but for the flags that its framework needs."""
    shell, dash_c, script, marker, folder, mode, setting = new["command"]
    assert (shell, dash_c, script, marker) == (expected[0], "-c", WORKER_SCRIPT, expected[1])
    assert (folder, mode) == (f"{MOUNT_PATH}/{new['name']}", status["mode"])
    if mode == "loop":
        # A shell string with a loop of its own gets a second between runs.
        assert setting in (("0", "1") if settings.loop_delay is None else (str(settings.loop_delay),))
    else:
        name = setting.removesuffix(AWAITS_CHILD)
        assert name == (settings.stop_signal or name)
    argv = [*(old.get("command") or settings.command or ()), *(old.get("args") or ())]
    assert new["args"] in _with_flags(argv, status.get("framework"), mode, grace)


def _with_flags(argv: list[str], name: str | None, mode: str, grace: int) -> Iterator[list[str]]:
    """Yield the argv, and every way to insert some of the framework's flags at one place."""
    yield argv
    room = max(grace - 10, 1)
    values = {"grace_seconds": room, "grace_milliseconds": room * 1000}
    flags = [
        [word.format(**values) for word in flag.add]
        for framework in TABLE.framework
        for flag in framework.flags
        if framework.name == name and flag.mode.value == mode
    ]
    for chosen in (flags, *([flag] for flag in flags)):
        words = [word for flag in chosen for word in flag]
        for position in range(1, len(argv) + 1):
            yield [*argv[:position], *words, *argv[position:]]


def check_hook(
    old: JsonObject, new: JsonObject, settings: Settings, workers: list[str], brought: tuple[str, str]
) -> None:
    before = (old.get("lifecycle") or {}).get("preStop") or {}
    is_worker = new["name"] in workers
    if not is_worker and settings.sidecars is not Sidecars.HOOK:
        without_probes = [
            {k: v for k, v in c.items() if k not in ("livenessProbe", "startupProbe")} for c in (old, new)
        ]
        assert without_probes[0] == without_probes[1]
        return
    assert any(m["name"] == VOLUME and m["mountPath"] == MOUNT_PATH for m in new["volumeMounts"])
    if any(before.get(kind) is not None for kind in KEPT_HOOKS) or (
        not is_worker and settings.shell != INJECTED_SHELL and is_shell_less(new)
    ):
        assert new.get("lifecycle") == old.get("lifecycle")
        return
    command = new["lifecycle"]["preStop"]["exec"]["command"]
    script = WORKER_HOOK_SCRIPT if is_worker else SIDECAR_HOOK_SCRIPT
    folders = [new["name"]] if is_worker else workers
    shell, name = brought if is_worker or settings.shell == INJECTED_SHELL else (DEFAULT_SHELL, VOLUME)
    assert command[:4] == [shell, "-c", script, name]
    assert sorted(command[4].split(" ")) == sorted(f"{MOUNT_PATH}/{name}" for name in folders)
    assert command[5:] == ((before.get("exec") or {}).get("command") or [])


def is_shell_less(container: JsonObject) -> bool:
    return any(
        proxy.container in ("", container["name"]) and proxy.image in (container.get("image") or "")
        for proxy in PROXIES
    )


def annotations_of(pod: JsonObject) -> dict[str, str]:
    return (pod.get("metadata") or {}).get("annotations") or {}


def untouched(pod: JsonObject) -> JsonObject:
    """Return what of a pod is none of graceful-worker's business; empty and absent are the same here."""
    rest = deepcopy(pod)
    metadata = rest.get("metadata") or {}
    for field in ("labels", "annotations"):
        metadata[field] = {key: value for key, value in (metadata.get(field) or {}).items() if key not in OURS}
    spec = rest["spec"]
    spec.pop("terminationGracePeriodSeconds", None)
    spec["volumes"] = [volume for volume in spec.get("volumes") or () if volume["name"] not in (VOLUME, SHELL_VOLUME)]
    for container in (*spec["containers"], *(spec.get("initContainers") or ())):
        for probe in ("livenessProbe", "startupProbe"):
            (container.get(probe) or {}).pop("terminationGracePeriodSeconds", None)
    for container in spec["containers"]:
        container.pop("command", None)
        container.pop("args", None)
        container["volumeMounts"] = [m for m in container.get("volumeMounts") or () if m["mountPath"] not in PATHS]
        for key in ("lifecycle", "preStop", "exec"):
            container = container.get(key) or {}  # noqa: PLW2901
        container.pop("command", None)
    return _without_hollow(rest)


def _without_hollow(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: _without_hollow(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item not in (None, {}, [])}
    return [_without_hollow(item) for item in value] if isinstance(value, list) else value


def _long_running(pod: JsonObject) -> list[JsonObject]:
    """Return the containers whose probes count: regular ones and native sidecars."""
    spec = pod["spec"]
    native = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [*spec["containers"], *native]
