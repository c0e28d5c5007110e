"""Pods from users and other webhooks, with optional fields present, absent, null and empty."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from webhook.core.annotations import ANNOTATIONS, LABEL, PREFIX
from webhook.core.pod import JsonObject
from webhook.core.policy import Policy, ShellSource
from webhook.core.recognize.frameworks import TABLE
from webhook.core.wrapper import MOUNT_PATH, VOLUME

text = st.text(max_size=12)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | text
)
json = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6
)
# Keys that a JSON Pointer must escape, or that look like its list indexes.
odd_keys = st.sampled_from(["a/b~c", "~1", "~0", "/", "", "-", "0", "$ref", "futureField", "ünïcode", " "])
names = st.sampled_from(
    ["worker", "nginx", "app", "a", "0", "db-1", "istio-proxy", "linkerd-proxy", "x" * 63, "kill", "name", "loop"]
)

_COMMANDS = [command.split() for framework in TABLE.framework for command in framework.commands]
_SHELL_STRINGS = [
    "php bin/console messenger:consume async",
    "cd /app && exec celery -A shop worker --loglevel=info",
    "while true; do /app/consume-one; done",
    "QUEUE=mails bundle exec rake resque:work # comment",
    "echo 'not well quoted",
    'sh -c "exec bundle exec sidekiq"',
]
argvs = st.one_of(
    st.just(["/app/consume-one"]),
    st.sampled_from(_COMMANDS),
    st.tuples(st.sampled_from(_COMMANDS), st.lists(text, max_size=3)).map(lambda parts: [*parts[0], *parts[1]]),
    st.sampled_from(_SHELL_STRINGS).map(lambda script: ["/bin/sh", "-c", script]),
    st.sampled_from([["tini", "--"], ["python3", "-m"], ["bundle", "exec"], ["/vault/vault-env"]]).flatmap(
        lambda launcher: st.sampled_from(_COMMANDS).map(lambda command: [*launcher, *command])
    ),
    st.just(["/app/consume-one", "$(QUEUE)", "$$(LITERAL)", "$HOME", "'\"\\"]),
    st.just(["php", "bin/console", "messenger:consume", "$(QUEUE)", "--time-limit=$(SECONDS)"]),
    st.lists(text, min_size=1, max_size=4),
)
# The commands of most containers: no known worker.
plain_argvs = st.sampled_from([["nginx", "-g", "daemon off;"], ["/agent", "run"], ["sh", "-c", "exec /agent"]])


def objects(fields: dict[str, Any], *, odd: bool) -> SearchStrategy[dict[str, Any]]:
    """An object: each field may be absent; with `odd`, fields may also be null or unknown."""
    if not odd:
        return st.fixed_dictionaries({}, optional=fields)
    known = st.fixed_dictionaries({}, optional={key: value | _NULL for key, value in fields.items()})
    return st.tuples(known, _UNKNOWN_FIELDS).map(lambda parts: parts[0] | parts[1])


_NULL = st.none()
_UNKNOWN_FIELDS = st.one_of(*[st.just({})] * 3, st.dictionaries(odd_keys, json, min_size=1, max_size=2))


def _handlers(odd: bool) -> SearchStrategy[JsonObject]:
    commands = st.lists(text, min_size=1, max_size=3) | st.just(["sh", "-c", 'echo "$1" $(date) $$', "x"])
    others = [{"httpGet": {"path": "/quit", "port": 8080}}, {"tcpSocket": {"port": "http"}}, {"sleep": {"seconds": 5}}]
    if odd:
        execs = objects({"command": commands | st.just([])}, odd=True)
        others += [{}, {"exec": None}, {"exec": None, "httpGet": None}]
    else:
        execs = st.fixed_dictionaries({"command": commands})
    return execs.map(lambda made: {"exec": made}) | st.sampled_from(others)


def _probes(odd: bool) -> SearchStrategy[JsonObject]:
    actions = st.sampled_from([{"exec": {"command": ["true"]}}, {"httpGet": {"port": 80}}, {"grpc": {"port": 1}}])
    timing = objects({"terminationGracePeriodSeconds": st.integers(1, 90), "periodSeconds": st.just(3)}, odd=odd)
    return st.tuples(timing, actions).map(lambda parts: parts[0] | parts[1])


_MOUNTS = st.fixed_dictionaries(
    {"name": st.sampled_from(["data", "tmp", VOLUME]), "mountPath": st.sampled_from(["/data", "/tmp", "/a/b~c"])},
    optional={"readOnly": st.booleans(), "subPath": st.just("sub")},
)


@cache
def containers(*, odd: bool) -> SearchStrategy[JsonObject]:
    """A container without name and command."""
    hooks = objects({"preStop": _handlers(odd), "postStart": _handlers(odd)}, odd=odd)
    return objects(
        {
            "image": st.sampled_from(["shop:1", "istio/proxyv2:1.27-distroless"]),
            "args": st.lists(text, max_size=2),
            "env": st.just([{"name": "QUEUE", "value": "async"}, {"name": "SECONDS", "value": "3600"}]),
            "ports": st.just([{"containerPort": 8080}]),
            "lifecycle": hooks,
            "livenessProbe": _probes(odd),
            "readinessProbe": _probes(odd),
            "startupProbe": _probes(odd),
            "volumeMounts": st.lists(_MOUNTS, max_size=2, unique_by=lambda mount: mount["mountPath"]),
            "securityContext": st.just({"readOnlyRootFilesystem": True, "runAsNonRoot": True}),
            "resources": st.just({"limits": {"memory": "64Mi"}}),
            "terminationMessagePath": text,
        },
        odd=odd,
    )


added_later = st.tuples(containers(odd=True), plain_argvs).map(
    lambda parts: {"name": "added-later", "command": parts[1], **parts[0]}
)
"""A container that another webhook adds, and that is not a worker."""

_GOOD_VALUES = {
    "mode": ["auto", "loop", "signal"],
    "containers": ["worker", "app,nginx"],
    "command": ['["/app/consume-one"]', '["celery", "worker"]'],
    "grace-period": ["60", "1h30m", "2d"],
    "stop-signal": ["TERM", "SIGQUIT", "USR1"],
    "loop-delay": ["0", "5s"],
    "istio": ["opt-out", "keep"],
    "sidecars": ["hook", "native", "ignore"],
    "shell": ["/bin/sh", "/usr/bin/bash", "injected"],
    "evict": ["allow", "never"],
}
assert set(_GOOD_VALUES) == {annotation.name for annotation in ANNOTATIONS}
_SETTINGS = st.fixed_dictionaries(
    {}, optional={PREFIX + name: st.sampled_from(values) for name, values in _GOOD_VALUES.items()}
)
_ONE_SETTING = st.sampled_from([{PREFIX + name: value} for name, values in _GOOD_VALUES.items() for value in values])
_TWO_SETTINGS = st.tuples(_ONE_SETTING, _ONE_SETTING).map(lambda two: two[0] | two[1])
_NO_SETTINGS: SearchStrategy[dict[str, str]] = st.just({})
_FEW_SETTINGS = _NO_SETTINGS | _ONE_SETTING | _TWO_SETTINGS
_BAD_SETTINGS = st.one_of(
    _SETTINGS,
    st.dictionaries(st.sampled_from(sorted(_GOOD_VALUES)).map(PREFIX.__add__), text, max_size=2),
    st.dictionaries(text.map(PREFIX.__add__), text, min_size=1, max_size=1),
)
_OTHER_ANNOTATIONS = st.fixed_dictionaries(
    {},
    optional={
        "kubectl.kubernetes.io/default-container": st.sampled_from(["app", "nginx", "gone"]),
        "sidecar.istio.io/inject": st.sampled_from(["true", "false", ""]),
        "sidecar.istio.io/nativeSidecar": st.just("false"),
        "cluster-autoscaler.kubernetes.io/safe-to-evict": st.just("true"),
        "example.com/a~b": text,
    },
)


@cache
def _metadata(*, odd: bool, bad: bool) -> SearchStrategy[JsonObject]:
    states = ["enabled", "disabled", "", "true"] if bad else ["enabled"]
    label = st.sampled_from([{LABEL: state} for state in states])
    other = st.fixed_dictionaries(
        {}, optional={"app": text, "a/b~c": text, "sidecar.istio.io/inject": st.sampled_from(["true", "false"])}
    )
    own = _BAD_SETTINGS if bad else _FEW_SETTINGS
    return objects(
        {
            "name": st.just("mailer-1"),
            "labels": st.tuples(label, other).map(lambda parts: parts[0] | parts[1]) | other,
            "annotations": st.tuples(own, _OTHER_ANNOTATIONS).map(lambda parts: parts[0] | parts[1]),
        },
        odd=odd,
    )


_VOLUMES = [{"name": "data", "emptyDir": {}}, {"name": "tmp", "configMap": {"name": "c"}}]


@cache
def _specs(*, odd: bool) -> SearchStrategy[JsonObject]:
    """A pod's spec without containers."""
    return objects(
        {
            "volumes": st.sampled_from([[], _VOLUMES, [*_VOLUMES, {"name": VOLUME, "emptyDir": {}}]]),
            "terminationGracePeriodSeconds": st.sampled_from([0, 1, 30, 45, 3600, 100_000]),
            "restartPolicy": st.sampled_from(["Always", "Always", "OnFailure", "Never"]),
            "tolerations": st.just([{"operator": "Exists"}]),
            "nodeSelector": st.just({"kubernetes.io/os": "linux"}),
        },
        odd=odd,
    )


_NAMES = st.lists(names, min_size=1, max_size=4, unique=True)
_COMMANDS_OF_OTHERS = st.one_of(st.none(), plain_argvs, argvs)


@st.composite
def pods(draw: st.DrawFn, *, odd: bool = True, bad: bool = False) -> JsonObject:
    """A pod; with `odd`, it has nulls and unknown fields, with `bad`, also invalid annotations."""
    chosen = draw(_NAMES)
    regular = draw(st.integers(1, len(chosen)))
    spec = draw(_specs(odd=odd))
    made = []
    for position, name in enumerate(chosen):
        container = {"name": name, **draw(containers(odd=odd))}
        command = draw(argvs if position == 0 and not bad else _COMMANDS_OF_OTHERS)
        if command is not None:
            container["command"] = command
        made.append(container)
    spec["containers"] = made[:regular]
    if made[regular:] or draw(st.sampled_from([False, True])):
        spec["initContainers"] = made[regular:]
    for container in made[regular:]:
        if draw(st.booleans()):
            container["restartPolicy"] = "Always"
    head = {} if odd else {"apiVersion": "v1", "kind": "Pod"}
    metadata = draw(_metadata(odd=odd, bad=bad))
    own = (metadata.get("annotations") or {}) if not bad else {}
    if PREFIX + "containers" in own:
        own[PREFIX + "containers"] = ",".join(chosen[: draw(st.integers(1, regular))])
    pod: dict[str, Any] = head | {"metadata": metadata, "spec": spec}
    if odd and draw(st.integers(0, 9)) == 9:
        pod = {"metadata": None, "spec": spec} if draw(st.booleans()) else {"spec": spec}
    unshared: JsonObject = _unshared(pod)
    return unshared


def _unshared(value: Any) -> Any:
    """Copy a value so that it contains no object twice, like a value that was parsed from JSON."""
    if isinstance(value, dict):
        return {key: _unshared(item) for key, item in value.items()}
    return [_unshared(item) for item in value] if isinstance(value, list) else value


policies = st.builds(
    Policy,
    grace_period=st.sampled_from([1, 600, 3600]),
    only_labelled=st.just(False),
    shell_source=st.sampled_from(ShellSource),
)
"""The operator's settings."""


def mounts_of(container: JsonObject) -> list[str]:
    """Return the volumes that are mounted at the path of the workers' folders."""
    return [mount["name"] for mount in container.get("volumeMounts") or () if mount["mountPath"] == MOUNT_PATH]
