"""Reads the limits of drains from objects: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from webhook.core.pod import JsonObject
from webhook.inspection.drain_limits import TABLE, Field, Flag, Policy
from webhook.inspection.pluralize import pluralize

_SYSTEM_CRITICAL = 2_000_000_000
"""https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#priorityclass"""
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)", re.ASCII)


class Bound(msgspec.Struct, frozen=True):
    """A limit of drains in this cluster."""

    limit: str
    place: str
    periods: tuple[tuple[int, int], ...]
    """Priorities in ascending order, each with its seconds; empty if there is no limit."""
    nodes: frozenset[str] | None = None
    """The affected nodes; None for all."""

    def seconds(self, priority: int) -> int | None:
        """Return the limit for a pod's priority: that of the highest priority not above it, else of the lowest."""
        if not self.periods:
            return None
        below = [seconds for least, seconds in self.periods if least <= priority]
        return below[-1] if below else self.periods[0][1]


class Unreadable(msgspec.Struct, frozen=True):
    """A limit that was found but not understood."""

    limit: str
    place: str


def flag_bound(limit: str, detection: Flag, deployment: JsonObject) -> Bound | Unreadable:
    """Read the flag of a Deployment."""
    place = f"Deployment {deployment['metadata']['name']} in {deployment['metadata']['namespace']}"
    words = _words(deployment["spec"]["template"]["spec"]["containers"])
    by_priority = _value_of(detection.by_priority, words)
    if by_priority:
        return _readable(limit, place, _by_priority(by_priority))
    value = _value_of(detection.flag, words)
    if value is None:
        return Bound(limit, place, _everybody(detection.default))
    return _readable(limit, place, _everybody(int(value)) if value.isdecimal() else None)


def _words(containers: list[JsonObject]) -> list[str]:
    """Return the words of all commands, including those in shell scripts."""
    words = [word for each in containers for word in [*(each.get("command") or ()), *(each.get("args") or ())]]
    return " ".join(map(str, words)).split()


def _value_of(flag: str, words: list[str]) -> str | None:
    """Return the last value, in Go's flag syntax: https://pkg.go.dev/flag#hdr-Command_line_flag_syntax."""
    value = None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, has_value, own = word.partition("=")
        if name in (f"--{flag}", f"-{flag}"):
            value = (own if has_value else following).strip("\"'")
    return value


def _by_priority(text: str) -> tuple[tuple[int, int], ...] | None:
    pairs = [re.fullmatch(r"\s*(-?\d+):(\d+)\s*", pair) for pair in text.split(",")]
    return tuple(sorted((int(pair[1]), int(pair[2])) for pair in pairs if pair)) if all(pairs) else None


def _everybody(seconds: int) -> tuple[tuple[int, int], ...]:
    """Return the limit for all priorities; 0 means no limit."""
    return ((0, seconds),) if seconds else ()


def _readable(limit: str, place: str, periods: tuple[tuple[int, int], ...] | None) -> Bound | Unreadable:
    return Unreadable(limit, place) if periods is None else Bound(limit, place, periods)


def field_bound(
    limit: str, detection: Field, raw: JsonObject, nodes: Mapping[str, Mapping[str, str]]
) -> Bound | Unreadable:
    """Read a field of an object that a node label refers to."""
    name = raw["metadata"]["name"]
    value: object = raw
    for key in detection.path:
        value = value.get(key) if isinstance(value, dict) else None
    place = f"{detection.kind} {name}"
    if value is None:
        return Bound(limit, place, ())
    seconds = seconds_of(value)
    if seconds is None:
        return Unreadable(limit, place)
    of_it = frozenset(node for node, labels in nodes.items() if labels.get(detection.node_label) == name)
    return Bound(limit, place, ((0, seconds),), of_it)


def policy_bound(limit: str, detection: Policy, config_map: JsonObject) -> Bound | Unreadable | None:
    """Read a field of the configuration in a ConfigMap; None if it contains no such configuration."""
    text = (config_map.get("data") or {}).get(detection.key)
    if text is None:
        return None
    place = f"ConfigMap {config_map['metadata']['name']} in {detection.namespace}"
    try:
        policy = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return Unreadable(limit, place)
    if not isinstance(policy, dict):
        return Unreadable(limit, place)
    seconds = policy.get(detection.field)
    if seconds is None:
        return Bound(limit, place, ())
    # Here, 0 is a limit: the pod ends at once.
    return Bound(limit, place, ((0, seconds),)) if type(seconds) is int else Unreadable(limit, place)


def kubelet_bound(limit: str, configuration: JsonObject, node: str, alike: frozenset[str]) -> Bound | Unreadable:
    """Read how long a kubelet delays the shutdown of its node."""
    others = len(alike) - 1
    place = f"node {node}" + (f" and {pluralize(others, 'node')} of its kind" if others else "")
    try:
        periods = _shutdown(configuration["kubeletconfig"])
    except (KeyError, TypeError):
        periods = None
    return Unreadable(limit, place) if periods is None else Bound(limit, place, periods, alike)


def _shutdown(configuration: JsonObject) -> tuple[tuple[int, int], ...] | None:
    by_priority = configuration.get("shutdownGracePeriodByPodPriority") or ()
    if by_priority:
        return tuple(sorted((each["priority"], each["shutdownGracePeriodSeconds"]) for each in by_priority))
    total = seconds_of(configuration.get("shutdownGracePeriod") or "0s")
    critical = seconds_of(configuration.get("shutdownGracePeriodCriticalPods") or "0s")
    if total is None or critical is None:
        return None
    return (0, max(total - critical, 0)), (_SYSTEM_CRITICAL, critical)


def seconds_of(value: object) -> int | None:
    """Parse a duration in Go's format, such as `1h30m`; None if it is not valid."""
    if not isinstance(value, str):
        return None
    parts = list(_PART.finditer(value))
    if "".join(part[0] for part in parts) != value or not parts:
        return 0 if value == "0" else None
    return int(sum(float(part[1]) * _UNITS[part[2]] for part in parts))


def kinds_of_nodes(nodes: Mapping[str, Mapping[str, str]], used: Iterable[str]) -> list[tuple[str, frozenset[str]]]:
    """Group nodes by similar kubelets, the largest group first; each with the node to query."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for node in used:
        labels = nodes.get(node, {})
        kind = next(((label, labels[label]) for label in TABLE.pools if label in labels), ("", ""))
        kinds.setdefault(kind, []).append(node)
    ordered = sorted(kinds.items(), key=lambda each: (-len(each[1]), each[0]))
    return [(min(alike), frozenset(alike)) for _, alike in ordered]
