"""The fields of a pod that drains need; no others are kept, whatever the pod's size."""

from __future__ import annotations

import sys
from typing import Any, TypedDict, cast

import msgspec

from webhook.core.annotations import INJECTED_LABEL, LABEL, STATUS_ANNOTATION
from webhook.core.ownership import HASH_LABEL, REVISION_LABEL, ROLLOUT_HASH_LABEL
from webhook.core.pod import JsonObject
from webhook.core.third_party_keys import MIRROR

MAX_STATUS_LENGTH = 16 * 1024
"""Maximum length of our annotation. A longer one was written by someone else, and is ignored."""

# The keys of labels and annotations are not Python identifiers, so these cannot be classes.
_Labels = TypedDict(
    "_Labels",
    {
        LABEL: str,  # type: ignore[misc]
        INJECTED_LABEL: str,
        HASH_LABEL: str,
        ROLLOUT_HASH_LABEL: str,
        REVISION_LABEL: str,
    },
    total=False,
)
_Annotations = TypedDict(
    "_Annotations",
    {STATUS_ANNOTATION: str, MIRROR: str},  # type: ignore[misc]
    total=False,
)


class _OwnerReference(TypedDict, total=False):
    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: bool


class _Metadata(TypedDict, total=False):
    uid: str
    namespace: str
    name: str
    creationTimestamp: str | None
    deletionTimestamp: str | None
    deletionGracePeriodSeconds: int | None
    labels: _Labels | None
    annotations: _Annotations | None
    ownerReferences: list[_OwnerReference] | None


class _System(TypedDict, total=False):
    name: str


class _Requirement(TypedDict, total=False):
    key: str
    operator: str
    values: list[str] | None


class _Term(TypedDict, total=False):
    matchExpressions: list[_Requirement] | None


class _NodeSelector(TypedDict, total=False):
    nodeSelectorTerms: list[_Term] | None


class _NodeAffinity(TypedDict, total=False):
    requiredDuringSchedulingIgnoredDuringExecution: _NodeSelector | None


class _Affinity(TypedDict, total=False):
    nodeAffinity: _NodeAffinity | None


class _SecurityContext(TypedDict, total=False):
    windowsOptions: dict[str, Any] | None


class _Container(TypedDict, total=False):
    name: str
    securityContext: _SecurityContext | None


class _Spec(TypedDict, total=False):
    """What drains need, and what shows that the webhook leaves a pod alone."""

    nodeName: str
    terminationGracePeriodSeconds: int | None
    priorityClassName: str
    runtimeClassName: str | None
    nodeSelector: dict[str, str] | None
    affinity: _Affinity | None
    os: _System | None
    securityContext: _SecurityContext | None
    containers: list[_Container]
    initContainers: list[_Container] | None


class _Terminated(TypedDict, total=False):
    exitCode: int
    reason: str
    message: str
    finishedAt: str | None


class _State(TypedDict, total=False):
    terminated: _Terminated | None


class _ContainerStatus(TypedDict, total=False):
    name: str
    state: _State | None


class _Condition(TypedDict, total=False):
    type: str
    status: str
    reason: str | None
    lastTransitionTime: str | None


class _Status(TypedDict, total=False):
    phase: str
    conditions: list[_Condition] | None
    initContainerStatuses: list[_ContainerStatus] | None
    containerStatuses: list[_ContainerStatus] | None


class _Pod(TypedDict, total=False):
    metadata: _Metadata
    spec: _Spec
    status: _Status


_DECODER = msgspec.json.Decoder(_Pod)


def decode_pod(raw: bytes | msgspec.Raw) -> JsonObject:
    """Read a pod; if it is not terminating, without its status.

    Raises:
        msgspec.MsgspecError: it is not a pod.

    """
    pod = cast(JsonObject, _DECODER.decode(raw))
    metadata = pod.get("metadata") or {}
    if not (metadata.get("uid") and metadata.get("namespace") and metadata.get("name")):
        raise msgspec.ValidationError("a pod has a uid, a namespace and a name")
    annotations = metadata.get("annotations") or {}
    if not metadata.get("deletionTimestamp"):
        pod.pop("status", None)
        annotations.pop(STATUS_ANNOTATION, None)
    if len(annotations.get(STATUS_ANNOTATION, "")) > MAX_STATUS_LENGTH:
        del annotations[STATUS_ANNOTATION]
    _intern_strings(metadata)
    return pod


def _intern_strings(metadata: JsonObject) -> None:
    """Share strings that thousands of pods have in common."""
    metadata["namespace"] = sys.intern(metadata["namespace"])
    for fields in (metadata.get("labels") or {}, *(metadata.get("ownerReferences") or ())):
        for key, value in fields.items():
            if isinstance(value, str):
                fields[key] = sys.intern(value)
