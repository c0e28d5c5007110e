"""Label selectors: which labels they match, and how requests encode them."""

from __future__ import annotations

from webhook.core.annotations import LABEL, LABEL_DISABLED, LABEL_ENABLED
from webhook.core.pod import JsonObject

NAME_LABEL = "kubernetes.io/metadata.name"
"""The label with which the API server names each namespace."""


def matches(selector: JsonObject | None, labels: dict[str, str]) -> bool:
    """Tell whether a selector matches; an empty one matches everything.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements
    """
    return all(_is_met(labels.get(key), operator, values) for key, operator, values in _requirements(selector))


def _is_met(value: str | None, operator: str, values: list[str]) -> bool:
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def to_query(selector: JsonObject | None) -> str:
    """Encode a selector as the parameter `labelSelector`."""
    return ",".join(_encode(*requirement) for requirement in _requirements(selector))


def _encode(key: str, operator: str, values: list[str]) -> str:
    match operator:
        case "In" | "NotIn":
            return f"{key} {operator.lower()} ({','.join(values)})"
        case "Exists":
            return key
        case _:
            return f"!{key}"


def _requirements(selector: JsonObject | None) -> list[tuple[str, str, list[str]]]:
    selector = selector or {}
    equal = [(key, "In", [value]) for key, value in (selector.get("matchLabels") or {}).items()]
    expressions: list[JsonObject] = selector.get("matchExpressions") or []
    return equal + [(each["key"], each["operator"], each.get("values") or []) for each in expressions]


def default_entries(namespace: str) -> list[JsonObject]:
    """Return the selectors in `deploy/`, for a cluster whose configuration cannot be read."""
    outside = {"key": NAME_LABEL, "operator": "NotIn", "values": ["kube-system", namespace]}
    enabled = {"key": LABEL, "operator": "In", "values": [LABEL_ENABLED]}
    not_enabled = {**enabled, "operator": "NotIn"}
    not_disabled = {"key": LABEL, "operator": "NotIn", "values": [LABEL_DISABLED]}
    return [
        {
            "namespaceSelector": {"matchExpressions": [of_namespace, outside]},
            "objectSelector": {"matchExpressions": [of_pod]},
        }
        for of_namespace, of_pod in ((enabled, not_disabled), (not_enabled, enabled))
    ]
