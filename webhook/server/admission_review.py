"""The AdmissionReview: parsed from the API server's request, answered with the core's decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec

from webhook.core.decision import Decision
from webhook.core.eviction import Eviction, EvictionDecision, eviction_warnings
from webhook.core.image_config import NO_IMAGES, Images
from webhook.core.injection import Injection, inject, inject_pod
from webhook.core.json_size import has_more_values
from webhook.core.pod import NO_METADATA, JsonObject, Pod, drop_unread
from webhook.core.policy import Policy
from webhook.core.reasons import Finding, Kind, Reason
from webhook.server.errors import RequestRejected
from webhook.server.patch_encoding import encode_patch

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"
MOST_VALUES = 300_000
"""How many strings, and how many other values, a review may have: more than fit into the largest pod that etcd stores.

A body at the limit on bytes may have twenty times as many, and take 500 MB once it is decoded.
"""
REFUSAL_CODE = 422
"""The pod is readable, but its settings are invalid; the API server forwards this code and the message."""


class GroupKind(msgspec.Struct):
    """The kind of the reviewed object."""

    kind: str
    group: str = ""
    version: str = ""


class Request(msgspec.Struct):
    """The request of a review."""

    uid: str
    kind: GroupKind
    operation: str
    namespace: str = ""
    dry_run: bool = msgspec.field(default=False, name="dryRun")
    sub_resource: str = msgspec.field(default="", name="subResource")
    object: Any = None

    @property
    def pod_name(self) -> str:
        """The pod's name or generateName; empty if it has neither."""
        raise NotImplementedError


class PodRequest(Request):
    """A request about a pod. Only fields that decisions need become Python objects: 13 µs instead of 40."""

    object: Pod | None = None

    @property
    def pod_name(self) -> str:  # noqa: D102
        metadata = (self.object and self.object.metadata) or NO_METADATA
        return _first_name((metadata.generate_name, metadata.name))


class AnyRequest(Request):
    """A request about something else, or a malformed pod."""

    object: JsonObject | None = None

    @property
    def pod_name(self) -> str:  # noqa: D102
        metadata = (self.object or {}).get("metadata")
        return _first_name(map(metadata.get, ("generateName", "name"))) if isinstance(metadata, dict) else ""


class User(msgspec.Struct):
    """Who asks."""

    username: str = ""


class EvictionRequest(Request):
    """A request to evict a pod; `name` is the pod's."""

    object: Eviction | None = None
    name: str = ""
    user: User = msgspec.field(name="userInfo", default_factory=User)

    @property
    def pod_name(self) -> str:  # noqa: D102
        return self.name


_Request_co = TypeVar("_Request_co", bound=Request, covariant=True)


class Review(msgspec.Struct, Generic[_Request_co]):
    """The envelope."""

    api_version: str = msgspec.field(name="apiVersion")
    kind: str
    request: _Request_co


_EVICTIONS = (GroupKind("Eviction", "policy", "v1"), GroupKind("Eviction", "policy", "v1beta1"))
_EVICTION_REVIEW = msgspec.json.Decoder(Review[EvictionRequest])
_POD_REVIEW = msgspec.json.Decoder(Review[PodRequest])
_ANY_REVIEW = msgspec.json.Decoder(Review[AnyRequest])


def read_review(body: bytes) -> Request:
    """Read an AdmissionReview.

    Raises:
        RequestRejected: it is not JSON, not an AdmissionReview of version v1 with a request, or has too many values.

    """
    if has_more_values(body, MOST_VALUES):
        raise RequestRejected(Reason.REVIEW_TOO_LARGE, f"The limit is {MOST_VALUES} values.")
    try:
        review = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(str(error) if body else "The body is empty") from None
    except RecursionError:
        raise _invalid("The body is nested too deeply") from None
    if (review.api_version, review.kind) != (API_VERSION, KIND):
        raise _invalid(f"Expected a {KIND} of {API_VERSION}, got a {review.kind[:80]} of {review.api_version[:80]}")
    if not review.request.uid:
        raise _invalid("`request.uid` is empty")
    if skip_reason(review.request) is None and review.request.object is None:
        raise _invalid("`request.object` is missing")
    if isinstance(review.request.object, Pod):
        drop_unread(review.request.object)
    return review.request


def _invalid(detail: str) -> RequestRejected:
    return RequestRejected(Reason.REVIEW_INVALID, detail)


def _decode(body: bytes) -> Review[Request]:
    try:
        review: Review[Request] = _POD_REVIEW.decode(body)
    except msgspec.ValidationError:
        review = _ANY_REVIEW.decode(body)
    request = review.request
    if request.kind in _EVICTIONS and request.sub_resource == "eviction" and request.operation == "CREATE":
        with suppress(msgspec.ValidationError):
            eviction = _EVICTION_REVIEW.decode(body)
            options = eviction.request.object
            # For `kubectl drain --dry-run=server`, the request itself does not say so, but the deleteOptions.
            eviction.request.dry_run = request.dry_run or bool(options and options.dry_run)
            return eviction
    return review


def _first_name(names: Iterable[Any]) -> str:
    return next((name for name in names if name and isinstance(name, str)), "")


def skip_reason(request: Request) -> Reason | None:
    """Return why a request is not for graceful-worker; None if it creates a pod."""
    if request.kind.kind != "Pod" or request.kind.group or request.sub_resource:
        return Reason.NOT_A_POD
    if request.operation != "CREATE":
        return Reason.NOT_A_CREATION
    return None


class Verdict(msgspec.Struct, frozen=True):
    """The verdict on a pod, and the rest of the response after the UID, as JSON."""

    outcome: Kind
    reason: Reason
    after_uid: bytes
    ask: tuple[str, ...] = ()
    """The containers whose images would have to be known for another verdict."""


def review(request: Request, policy: Policy, images: Images = NO_IMAGES) -> Verdict:
    """Decide on the pod of a request, given the known facts about its images."""
    if elsewhere := skip_reason(request):
        return _verdict(Injection(Decision(Kind.LEFT_ALONE, Finding(elsewhere)), []))
    pod = request.object
    return _verdict(inject_pod(pod, policy, images) if isinstance(pod, Pod) else inject(pod, policy))


def review_eviction(request: EvictionRequest, eviction: EvictionDecision) -> Verdict:
    """Return the decision on an eviction."""
    decision = Decision(eviction.verdict.reason.kind, eviction.verdict)
    return _verdict(Injection(decision, eviction.patch), eviction_warnings(eviction, request.pod_name))


def _verdict(injection: Injection, warnings: Sequence[str] = ()) -> Verdict:
    decision = injection.decision
    annotations = {"outcome": decision.outcome.value, "reason": decision.reason.code}
    codes = dict.fromkeys([finding.reason.code for finding in decision.findings])
    if codes:
        annotations["findings"] = ",".join(codes)
    response: dict[str, Any] = {"allowed": decision.outcome is not Kind.REFUSED, "auditAnnotations": annotations}
    if injection.refusal:
        response["status"] = {"code": REFUSAL_CODE, "reason": "Invalid", "message": injection.refusal}
    warnings = [*warnings, *injection.warnings]
    if warnings:
        response["warnings"] = warnings
    parts = [b",", msgspec.json.encode(response)[1:-1]]
    if injection.patch:
        parts += [b',"patchType":"JSONPatch","patch":"', *encode_patch(injection.patch), b'"']
    return Verdict(decision.outcome, decision.reason, b"".join([*parts, b"}}"]), decision.lookups)


_BEFORE_UID = b'{"apiVersion":"%s","kind":"%s","response":{"uid":' % (API_VERSION.encode(), KIND.encode())


def encode_response(request: Request, verdict: Verdict) -> bytes:
    """Return the AdmissionReview with a verdict, for the API server."""
    return b"".join((_BEFORE_UID, msgspec.json.encode(request.uid), verdict.after_uid))
