"""Checks of the installation: configuration, certificates, replicas, Service."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Iterable, Iterator

from certs.certificate import read_bundle
from webhook.core.formatting import listed, pluralize
from webhook.core.pod import JsonObject
from webhook.inspection.diagnostics import Code, Diagnostic
from webhook.inspection.snapshot import Names, Snapshot, is_guard
from webhook.kubernetes.api_client import NotPermitted

DEPLOYMENT = "graceful-worker"
"""The name in `deploy/`, unless the cluster shows a different one."""
RENEWAL_MARGIN = datetime.timedelta(days=14)
"""A CA is renewed in the last third of its lifetime, by default four months before it expires. The certificate does not
show its lifetime, because its validity starts far in the past to allow for slow clocks."""
BUNDLE_FAILS = frozenset({Code.BUNDLE_MISSING, Code.BUNDLE_UNREADABLE, Code.BUNDLE_EXPIRED})
"""Each of these makes calls fail."""
UNKNOWN_VERSION = "unknown"
"""What texts say for a pod whose annotation has no valid version."""
VERSION_LABEL = "app.kubernetes.io/version"
_VERSION = r"v?(\d+\.\d+\.\d+[\w.+-]*)"
_VERSION_TAG = re.compile(f":{_VERSION}(?:@.*)?$", re.ASCII)
_VERSION_ALONE = re.compile(f"{_VERSION}$", re.ASCII)


def called_service(configuration: JsonObject | NotPermitted | None, names: Names) -> tuple[str, str] | None:
    """Return namespace and name of the called Service; None if only URLs are called."""
    entries: list[JsonObject] = (configuration.get("webhooks") or []) if isinstance(configuration, dict) else []
    for entry in entries:
        if service := entry["clientConfig"].get("service"):
            return service["namespace"], service["name"]
    return None if entries else (names.namespace, DEPLOYMENT)


def check_installation(snapshot: Snapshot, now: datetime.datetime) -> Iterator[Diagnostic]:
    """Check whether pods are sent to the webhook, and whether its responses arrive."""
    yield from _configuration(snapshot, now)
    service = called_service(snapshot.configuration, snapshot.names)
    if service is None:
        return
    yield from _deployment(snapshot, *service)
    # Without a Deployment, it has already been reported that the webhook is down.
    if snapshot.deployment is not None or _ready_endpoints(snapshot):
        yield from _endpoints(snapshot, *service)


def _configuration(snapshot: Snapshot, now: datetime.datetime) -> Iterator[Diagnostic]:
    name = {"name": snapshot.names.configuration}
    if isinstance(snapshot.configuration, NotPermitted):
        yield permission_missing(snapshot.configuration)
        return
    if snapshot.configuration is None:
        yield Diagnostic(Code.NOT_INSTALLED, name)
        return
    if not snapshot.pod_entries:
        yield Diagnostic(Code.NO_ENTRIES, name)
        return
    # The API server's default is Fail.
    for code, policy in ((Code.FAILS_CLOSED, "Fail"), (Code.FAILS_OPEN, "Ignore")):
        chosen = [entry for entry in snapshot.pod_entries if entry.get("failurePolicy", "Fail") == policy]
        if chosen:
            yield Diagnostic(code, {"entries": _entry_names(chosen, snapshot)})
    bundles = list(_bundles(snapshot, now))
    yield from _guard(snapshot, bundles)
    outside = [entry for entry in snapshot.entries if not entry["clientConfig"].get("service")]
    if outside:
        yield Diagnostic(Code.CALLED_BY_URL, {"entries": _entry_names(outside, snapshot)})
    yield from _called_elsewhere(snapshot)
    yield from bundles


def _guard(snapshot: Snapshot, bundles: list[Diagnostic]) -> Iterator[Diagnostic]:
    if not snapshot.guards:
        yield Diagnostic(Code.GUARD_MISSING)
    elif not any(diagnostic.code is Code.GUARD_FAILS for diagnostic in bundles):
        yield Diagnostic(Code.GUARD_THERE, {"entries": _entry_names(snapshot.guards, snapshot)})


def _called_elsewhere(snapshot: Snapshot) -> Iterator[Diagnostic]:
    by_service: dict[tuple[str, str], list[JsonObject]] = {}
    for entry in snapshot.entries:
        service = entry["clientConfig"].get("service")
        if service and service["namespace"] != snapshot.names.namespace:
            by_service.setdefault((service["namespace"], service["name"]), []).append(entry)
    for (namespace, name), entries in by_service.items():
        values = {"called": namespace, "service": name, "namespace": snapshot.names.namespace}
        yield Diagnostic(Code.CALLED_ELSEWHERE, {"entries": _entry_names(entries, snapshot), **values})


def _bundles(snapshot: Snapshot, now: datetime.datetime) -> Iterator[Diagnostic]:
    """Check each distinct bundle."""
    namespace, name = called_service(snapshot.configuration, snapshot.names) or (snapshot.names.namespace, DEPLOYMENT)
    by_bundle: dict[str, list[JsonObject]] = {}
    for entry in snapshot.entries:
        by_bundle.setdefault(entry["clientConfig"].get("caBundle") or "", []).append(entry)
    for bundle, entries in by_bundle.items():
        values = {"entries": _entry_names(entries, snapshot), "namespace": namespace, "deployment": name}
        if not bundle and not any(entry["clientConfig"].get("service") for entry in entries):
            continue
        diagnostic = _certificates(bundle, values, now) if bundle else Diagnostic(Code.BUNDLE_MISSING, values)
        # Pods are still protected if only calls of the eviction guard fail.
        is_harmless = diagnostic.code in BUNDLE_FAILS and all(map(is_guard, entries))
        yield Diagnostic(Code.GUARD_FAILS, values) if is_harmless else diagnostic


def _certificates(bundle: str, values: dict[str, str], now: datetime.datetime) -> Diagnostic:
    try:
        certificates = read_bundle(base64.b64decode(bundle))
    except binascii.Error:
        certificates = []
    if not certificates:
        return Diagnostic(Code.BUNDLE_UNREADABLE, values)
    until = max(each.not_valid_after_utc for each in certificates)
    values = {**values, "count": pluralize(len(certificates), "CA"), "until": f"{until:%Y-%m-%d %H:%M} UTC"}
    if not any(each.not_valid_before_utc <= now <= each.not_valid_after_utc for each in certificates):
        return Diagnostic(Code.BUNDLE_EXPIRED, values)
    left = until - now
    values["left"] = pluralize(left.days, "day") if left.days else pluralize(left.seconds // 3600, "hour")
    return Diagnostic(Code.BUNDLE_ENDS_SOON if left < RENEWAL_MARGIN else Code.BUNDLE_VALID, values)


def _deployment(snapshot: Snapshot, namespace: str, name: str) -> Iterator[Diagnostic]:
    values = {"namespace": namespace, "deployment": name}
    if isinstance(snapshot.deployment, NotPermitted):
        yield permission_missing(snapshot.deployment)
        return
    if snapshot.deployment is None:
        yield Diagnostic(Code.REPLICAS_ELSEWHERE if _ready_endpoints(snapshot) else Code.NO_DEPLOYMENT, values)
        return
    replicas = [] if isinstance(snapshot.replicas, NotPermitted) else snapshot.replicas
    images = sorted(set(map(_webhook_image, _webhook_pods(snapshot) or [snapshot.deployment["spec"]["template"]])))
    # The API server's default for a missing field is 1.
    wanted = snapshot.deployment["spec"].get("replicas", 1)
    ready = (snapshot.deployment.get("status") or {}).get("readyReplicas", 0)
    failures = listed(_pod_failures(replicas))
    counts = {
        **values,
        "ready": ready,
        "wanted": wanted,
        "images": ", ".join(images),
        "trouble": f" ({failures})" if failures else "",
    }
    if not ready:
        yield Diagnostic(Code.NO_REPLICA if wanted else Code.SCALED_TO_ZERO, counts)
    else:
        yield Diagnostic(Code.REPLICAS_READY if ready >= wanted else Code.FEWER_REPLICAS, counts)
    if len(images) > 1:
        yield Diagnostic(Code.IMAGES_DIFFER, counts)


def running_versions(snapshot: Snapshot) -> list[str]:
    """Return the versions that the webhook's ready pods show."""
    return _shown_versions(pod for pod in _webhook_pods(snapshot) if _is_ready(pod))


def newest_version(snapshot: Snapshot) -> str:
    """Return the running version, or that which is about to run; empty if nothing of the webhook shows it.

    Records of protected pods do not count, because any author of pods can write them.
    """
    deployment = snapshot.deployment if isinstance(snapshot.deployment, dict) else None
    versions = (
        running_versions(snapshot)
        or _shown_versions(_webhook_pods(snapshot))
        or _shown_versions([deployment["spec"]["template"]] if deployment else ())
    )
    return max(versions, key=_order, default="")


def is_older(version: str, other: str) -> bool:
    """Tell whether a version is older than another one."""
    return _order(version) < _order(other)


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _is_ready(pod: JsonObject) -> bool:
    conditions: list[JsonObject] = (pod.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _webhook_pods(snapshot: Snapshot) -> list[JsonObject]:
    pods = [] if isinstance(snapshot.replicas, NotPermitted) else snapshot.replicas
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _shown_versions(pods: Iterable[JsonObject]) -> list[str]:
    return sorted({_shown_version(pod) for pod in pods} - {""})


def _shown_version(pod: JsonObject) -> str:
    """Return the version of an image's tag, else that of the label, which stays if only the image is replaced."""
    labels = (pod.get("metadata") or {}).get("labels") or {}
    found = _VERSION_TAG.search(_webhook_image(pod)) or _VERSION_ALONE.match(labels.get(VERSION_LABEL, ""))
    return found[1] if found else ""


def _webhook_image(pod: JsonObject) -> str:
    """Return the image of the webhook's container: a mesh may have added others after it."""
    containers: list[JsonObject] = pod["spec"]["containers"]
    named = [container for container in containers if container["name"] == "webhook"]
    return str((named or containers)[0]["image"])


def _pod_failures(pods: list[JsonObject]) -> Iterator[str]:
    """Return why pods do not run, in the words of the kubelet and the scheduler."""
    for pod in pods:
        status = pod.get("status") or {}
        causes = [(each.get("state") or {}).get("waiting") or {} for each in status.get("containerStatuses") or ()]
        conditions = status.get("conditions") or ()
        causes += [each for each in conditions if each["type"] == "PodScheduled" and each["status"] == "False"]
        if reasons := [each["reason"] for each in causes if each.get("reason")]:
            yield f"{pod['metadata']['name']}: {reasons[0]}"


def _endpoints(snapshot: Snapshot, namespace: str, service: str) -> Iterator[Diagnostic]:
    if isinstance(snapshot.endpoint_slices, NotPermitted):
        yield permission_missing(snapshot.endpoint_slices)
        return
    ready = _ready_endpoints(snapshot)
    values = {"namespace": namespace, "service": service, "ready": pluralize(ready, "ready endpoint")}
    yield Diagnostic(Code.ENDPOINTS_READY if ready else Code.NO_ENDPOINT, values)


def _ready_endpoints(snapshot: Snapshot) -> int:
    """Count; an endpoint without a known state counts as ready.

    https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
    """
    slices = [] if isinstance(snapshot.endpoint_slices, NotPermitted) else snapshot.endpoint_slices
    endpoints = [endpoint for each in slices for endpoint in each.get("endpoints") or ()]
    return sum((endpoint.get("conditions") or {}).get("ready") is not False for endpoint in endpoints)


def permission_missing(what: NotPermitted) -> Diagnostic:
    """Report that a permission is missing."""
    return Diagnostic(Code.RIGHT_MISSING, {"right": what.permission})


def _entry_names(entries: list[JsonObject], snapshot: Snapshot) -> str:
    if len(entries) == len(snapshot.entries):
        return "all entries"
    if entries == snapshot.pod_entries:
        return "all entries for pods"
    return f"entry {', '.join(entry['name'] for entry in entries)}"
