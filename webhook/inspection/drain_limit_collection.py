"""Reads the limits of drains; a missing permission leaves only one limit unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from webhook.core.formatting import pluralize
from webhook.core.pod import JsonObject
from webhook.inspection.drain_limit_parsing import (
    EffectiveLimit,
    UnreadableLimit,
    group_nodes,
    parse_field,
    parse_flag,
    parse_kubelet_configuration,
    parse_policy,
)
from webhook.inspection.drain_limits import NODE_LABELS, TABLE, Field, Flag, Kubelet, Limit, Marker, Nodes, Policy
from webhook.inspection.requests import NODES
from webhook.inspection.snapshot import DrainLimits, Kubelets, State, WorkerPod
from webhook.kubernetes.api_client import ApiClient, NotPermitted, catch_forbidden, gather_or_cancel
from webhook.kubernetes.errors import ClusterUnavailable
from webhook.kubernetes.requests import ApiRequest

MAX_KUBELETS = 3
"""Maximum number of kubelets to query, one per kind of node: the permission for their proxy is sensitive."""
NodeLabels = Mapping[str, Mapping[str, str]]
LimitReading = EffectiveLimit | UnreadableLimit | NotPermitted


async def collect_drain_limits(api: ApiClient, pods: Iterable[WorkerPod], *, kubelets: bool) -> DrainLimits | None:
    """Read what may end drains of protected pods early; None if there are no such pods.

    Raises:
        ClusterUnavailable: the API server can no longer be reached.

    """
    used = {pod.node for pod in pods if pod.state is State.PROTECTED and not pod.ending}
    if not used:
        return None
    found = await catch_forbidden(api.list(NODES, _node))
    nodes = {} if isinstance(found, NotPermitted) else dict(found)
    used &= nodes.keys()
    lists = await gather_or_cancel(*(_collect(api, limit, nodes, used) for limit in TABLE.limit))
    readings = [reading for each in lists for reading in each]
    queried = None
    if kubelets:
        queried, more = await _kubelets(api, nodes, used)
        readings += more
    missing = [each.permission for each in [found, *readings] if isinstance(each, NotPermitted)]
    return DrainLimits(
        [each for each in readings if isinstance(each, EffectiveLimit)],
        [each for each in readings if isinstance(each, UnreadableLimit)],
        list(dict.fromkeys(missing)),
        queried,
    )


def _node(raw: JsonObject) -> tuple[str, dict[str, str]]:
    labels = raw["metadata"].get("labels") or {}
    return raw["metadata"]["name"], {key: value for key, value in labels.items() if key in NODE_LABELS}


async def _collect(api: ApiClient, limit: Limit, nodes: NodeLabels, used: set[str]) -> list[LimitReading]:
    """Read a limit; an error, such as a broken conversion, affects only this limit."""
    try:
        match limit.detection:
            case Flag() as flag:
                return await _flags(api, limit.id, flag)
            case Field() as field:
                request = ApiRequest(field.resource, field.group)
                return await _list(api, request, lambda raw: parse_field(limit.id, field, raw, nodes))
            case Policy() as policy:
                return await _policies(api, limit.id, policy)
            case Marker() as marker:
                return await _marker(api, limit.id, marker)
            case Nodes() as labelled:
                return _labelled(limit.id, labelled, nodes, used)
            case Kubelet():
                return []
    except ClusterUnavailable as error:
        return [UnreadableLimit(limit.id, str(error))]


async def _list(
    api: ApiClient, request: ApiRequest, parse: Callable[[JsonObject], LimitReading | None]
) -> list[LimitReading]:
    answer = await catch_forbidden(api.list(request, parse))
    return [answer] if isinstance(answer, NotPermitted) else [reading for reading in answer if reading]


async def _flags(api: ApiClient, limit: str, flag: Flag) -> list[LimitReading]:
    requests = [ApiRequest("deployments", "apps", labels=selector) for selector in flag.selectors]
    lists = await gather_or_cancel(*(_list(api, each, lambda raw: parse_flag(limit, flag, raw)) for each in requests))
    # A Deployment may have several of the labels.
    return list(dict.fromkeys(reading for each in lists for reading in each))


async def _policies(api: ApiClient, limit: str, policy: Policy) -> list[LimitReading]:
    request = ApiRequest("configmaps", namespace=policy.namespace, labels=policy.selector)
    readings = await _list(api, request, lambda raw: parse_policy(limit, policy, raw))
    named = await catch_forbidden(api.get(ApiRequest("configmaps", "", policy.namespace, policy.name)))
    if isinstance(named, NotPermitted):
        return [*readings, named]
    reading = parse_policy(limit, policy, named) if named else None
    return list(dict.fromkeys([*readings, reading] if reading else readings))


async def _marker(api: ApiClient, limit: str, marker: Marker) -> list[LimitReading]:
    found = await catch_forbidden(api.get(ApiRequest("configmaps", "", marker.namespace, marker.name)))
    if isinstance(found, NotPermitted):
        return [found]
    place = f"ConfigMap {marker.name} in {marker.namespace}"
    return [EffectiveLimit(limit, place, ((0, marker.seconds),))] if found else []


def _labelled(limit: str, labelled: Nodes, nodes: NodeLabels, used: set[str]) -> list[LimitReading]:
    affected = frozenset(name for name in used if labelled.fits(nodes[name]))
    if not affected:
        return []
    place = f"node {min(affected)}" if len(affected) == 1 else pluralize(len(affected), "node")
    return [EffectiveLimit(limit, place, ((0, labelled.seconds),), affected)]


async def _kubelets(api: ApiClient, nodes: NodeLabels, used: set[str]) -> tuple[Kubelets, list[LimitReading]]:
    """Query one kubelet per kind of node, the most frequent kinds first."""
    (limit,) = (each.id for each in TABLE.limit if isinstance(each.detection, Kubelet))
    kinds = group_nodes(nodes, used)
    readings: list[LimitReading] = []
    unreachable: list[str] = []
    for node, similar in kinds[:MAX_KUBELETS]:
        # https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/#viewing-the-kubelet-configuration
        try:
            answer = await catch_forbidden(api.get(ApiRequest("nodes", name=node, subresource="proxy/configz")))
        except ClusterUnavailable:
            # For example, the node is down.
            answer = None
        if isinstance(answer, NotPermitted):
            readings.append(answer)
        elif answer is None:
            unreachable.append(node)
        else:
            readings.append(parse_kubelet_configuration(limit, answer, node, similar))
    return Kubelets(min(len(kinds), MAX_KUBELETS), len(kinds), unreachable), readings
