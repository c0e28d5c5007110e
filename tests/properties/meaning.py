"""What an injected pod must be, said independently of the code that makes it so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from webhook.core.annotations import DEFAULT_SHELL, INJECTED_LABEL, STATUS_ANNOTATION, Settings, Sidecars, read_settings
from webhook.core.decision import EVICTION_ANNOTATIONS, Policy
from webhook.core.frameworks import TABLE
from webhook.core.meshes import ISTIO_INJECT, ISTIO_NATIVE, PROXIES
from webhook.core.pod import JsonObject
from webhook.core.wrapping import (
    AWAITS_CHILD,
    MOUNT_PATH,
    SIDECAR_HOOK_SCRIPT,
    VOLUME,
    WORKER_HOOK_SCRIPT,
    WORKER_SCRIPT,
)

OURS = {ISTIO_INJECT, ISTIO_NATIVE, INJECTED_LABEL, STATUS_ANNOTATION, *EVICTION_ANNOTATIONS}
KEPT_HOOKS = ("httpGet", "tcpSocket", "sleep")
KUBERNETES_GRACE = 30


def check(before: JsonObject, after: JsonObject, policy: Policy) -> None:
    """Check that `after` is `before`, protected."""
    settings = read_settings(annotations_of(before))
    workers = json.loads(annotations_of(after)[STATUS_ANNOTATION])["workers"]
    spec = after["spec"]
    assert workers
    assert (after["metadata"]["labels"])[INJECTED_LABEL] == "true"
    assert any(volume["name"] == VOLUME and "emptyDir" in volume for volume in spec["volumes"])
    assert workers.keys() <= {container["name"] for container in spec["containers"]}
    grace = check_grace(before, after, settings, policy)
    for old, new in zip(before["spec"]["containers"], spec["containers"], strict=True):
        name = new["name"]
        if name in workers:
            check_worker(old, new, settings, workers[name], grace)
            if (before["spec"].get("restartPolicy") or "Always") != "Always":
                assert workers[name]["mode"] == "signal"
        check_hook(old, new, settings, list(workers))
    assert untouched(before) == untouched(after)


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


def check_worker(old: JsonObject, new: JsonObject, settings: Settings, status: JsonObject, grace: int) -> None:
    """Check the wrapper, and that behind it the worker's argv is intact but for the flags that its framework needs."""
    shell, dash_c, script, marker, folder, mode, setting = new["command"]
    assert (shell, dash_c, script, marker) == (settings.shell, "-c", WORKER_SCRIPT, VOLUME)
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


def check_hook(old: JsonObject, new: JsonObject, settings: Settings, workers: list[str]) -> None:
    before = (old.get("lifecycle") or {}).get("preStop") or {}
    is_worker = new["name"] in workers
    if not is_worker and settings.sidecars is Sidecars.IGNORE:
        without_probes = [
            {k: v for k, v in c.items() if k not in ("livenessProbe", "startupProbe")} for c in (old, new)
        ]
        assert without_probes[0] == without_probes[1]
        return
    assert any(m["name"] == VOLUME and m["mountPath"] == MOUNT_PATH for m in new["volumeMounts"])
    if any(before.get(kind) is not None for kind in KEPT_HOOKS) or (not is_worker and is_shell_less(new)):
        assert new.get("lifecycle") == old.get("lifecycle")
        return
    command = new["lifecycle"]["preStop"]["exec"]["command"]
    script = WORKER_HOOK_SCRIPT if is_worker else SIDECAR_HOOK_SCRIPT
    folders = [new["name"]] if is_worker else workers
    shell = settings.shell if is_worker else DEFAULT_SHELL
    assert command[:4] == [shell, "-c", script, VOLUME]
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
    spec["volumes"] = [volume for volume in spec.get("volumes") or () if volume["name"] != VOLUME]
    for container in (*spec["containers"], *(spec.get("initContainers") or ())):
        for probe in ("livenessProbe", "startupProbe"):
            (container.get(probe) or {}).pop("terminationGracePeriodSeconds", None)
    for container in spec["containers"]:
        container.pop("command", None)
        container.pop("args", None)
        container["volumeMounts"] = [m for m in container.get("volumeMounts") or () if m["mountPath"] != MOUNT_PATH]
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
