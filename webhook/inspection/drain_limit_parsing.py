"""Reads the limits of drains from objects: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from webhook.core.formatting import pluralize
from webhook.core.pod import JsonObject
from webhook.inspection.drain_limits import TABLE, Field, Flag, Policy

_SYSTEM_CRITICAL = 2_000_000_000
"""https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#priorityclass"""
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)", re.ASCII)


class EffectiveLimit(msgspec.Struct, frozen=True):
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


class UnreadableLimit(msgspec.Struct, frozen=True):
    """A limit that was found but not understood."""

    limit: str
    place: str


def parse_flag(limit: str, detection: Flag, deployment: JsonObject) -> EffectiveLimit | UnreadableLimit:
    """Read the flag of a Deployment."""
    place = f"Deployment {deployment['metadata']['name']} in {deployment['metadata']['namespace']}"
    containers = deployment["spec"]["template"]["spec"]["containers"]
    commands = [word for each in containers for word in [*(each.get("command") or ()), *(each.get("args") or ())]]
    # Words of shell scripts count, too.
    words = " ".join(map(str, commands)).split()
    by_priority = _flag_value(detection.by_priority, words, default="")
    seconds = _flag_value(detection.flag, words, default=str(detection.default))
    periods: tuple[tuple[int, int], ...] | None = None
    if by_priority:
        periods = _by_priority(by_priority)
    elif seconds.isdecimal():
        # 0 means no limit.
        periods = ((0, int(seconds)),) if int(seconds) else ()
    return UnreadableLimit(limit, place) if periods is None else EffectiveLimit(limit, place, periods)


def _flag_value(flag: str, words: list[str], default: str) -> str:
    """Return the last value, in Go's flag syntax: https://pkg.go.dev/flag#hdr-Command_line_flag_syntax."""
    value = default
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, has_value, own = word.partition("=")
        if name in (f"--{flag}", f"-{flag}"):
            value = (own if has_value else following).strip("\"'")
    return value


def _by_priority(text: str) -> tuple[tuple[int, int], ...] | None:
    pairs = [re.fullmatch(r"\s*(-?\d+):(\d+)\s*", pair) for pair in text.split(",")]
    return tuple(sorted((int(pair[1]), int(pair[2])) for pair in pairs if pair)) if all(pairs) else None


def parse_field(
    limit: str, detection: Field, raw: JsonObject, nodes: Mapping[str, Mapping[str, str]]
) -> EffectiveLimit | UnreadableLimit:
    """Read a field of an object that a node label refers to."""
    name = raw["metadata"]["name"]
    value: object = raw
    for key in detection.path:
        value = value.get(key) if isinstance(value, dict) else None
    place = f"{detection.kind} {name}"
    if value is None:
        return EffectiveLimit(limit, place, ())
    seconds = parse_duration(value)
    if seconds is None:
        return UnreadableLimit(limit, place)
    of_it = frozenset(node for node, labels in nodes.items() if labels.get(detection.node_label) == name)
    return EffectiveLimit(limit, place, ((0, seconds),), of_it)


def parse_policy(limit: str, detection: Policy, config_map: JsonObject) -> EffectiveLimit | UnreadableLimit | None:
    """Read a field of the configuration in a ConfigMap; None if it contains no such configuration."""
    text = (config_map.get("data") or {}).get(detection.key)
    if text is None:
        return None
    place = f"ConfigMap {config_map['metadata']['name']} in {detection.namespace}"
    try:
        policy = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return UnreadableLimit(limit, place)
    if not isinstance(policy, dict):
        return UnreadableLimit(limit, place)
    seconds = policy.get(detection.field)
    if seconds is None:
        return EffectiveLimit(limit, place, ())
    # Here, 0 is a limit: the pod ends at once.
    return EffectiveLimit(limit, place, ((0, seconds),)) if type(seconds) is int else UnreadableLimit(limit, place)


def parse_kubelet_configuration(
    limit: str, configuration: JsonObject, node: str, similar: frozenset[str]
) -> EffectiveLimit | UnreadableLimit:
    """Read how long a kubelet delays the shutdown of its node."""
    others = len(similar) - 1
    place = f"node {node}" + (f" and {pluralize(others, 'node')} of its kind" if others else "")
    try:
        periods = _shutdown(configuration["kubeletconfig"])
    except (KeyError, TypeError):
        periods = None
    return UnreadableLimit(limit, place) if periods is None else EffectiveLimit(limit, place, periods, similar)


def _shutdown(configuration: JsonObject) -> tuple[tuple[int, int], ...] | None:
    by_priority = configuration.get("shutdownGracePeriodByPodPriority") or ()
    if by_priority:
        return tuple(sorted((each["priority"], each["shutdownGracePeriodSeconds"]) for each in by_priority))
    total = parse_duration(configuration.get("shutdownGracePeriod") or "0s")
    critical = parse_duration(configuration.get("shutdownGracePeriodCriticalPods") or "0s")
    if total is None or critical is None:
        return None
    return (0, max(total - critical, 0)), (_SYSTEM_CRITICAL, critical)


def parse_duration(value: object) -> int | None:
    """Parse a duration in Go's format, such as `1h30m`; None if it is not valid."""
    if not isinstance(value, str):
        return None
    parts = list(_PART.finditer(value))
    if "".join(part[0] for part in parts) != value or not parts:
        return 0 if value == "0" else None
    return int(sum(float(part[1]) * _UNITS[part[2]] for part in parts))


def group_nodes(nodes: Mapping[str, Mapping[str, str]], used: Iterable[str]) -> list[tuple[str, frozenset[str]]]:
    """Group nodes by similar kubelets, the largest group first; each with the node to query."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for node in used:
        labels = nodes.get(node, {})
        kind = next(((label, labels[label]) for label in TABLE.pools if label in labels), ("", ""))
        kinds.setdefault(kind, []).append(node)
    ordered = sorted(kinds.items(), key=lambda each: (-len(each[1]), each[0]))
    return [(min(similar), frozenset(similar)) for _, similar in ordered]
