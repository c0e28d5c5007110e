"""Conclusions about the installation: configuration, certificates, replicas, Service."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Iterable, Iterator

from cryptography import x509

from certs.certificate import read_bundle
from webhook.core.errors import listed
from webhook.core.pod import JsonObject
from webhook.inspection.facts import Conclusion, Fact
from webhook.inspection.observations import Names, Observations, Unseen, is_guard
from webhook.inspection.words import counted

DEPLOYMENT = "graceful-worker"
"""The name in `deploy/`, unless the cluster shows a different one."""
LATEST_RENEWAL = datetime.timedelta(days=14)
"""A CA is renewed in the last third of its lifetime, by default four months before it expires. The certificate does not
show its lifetime, because its validity starts far in the past to allow for slow clocks."""
BUNDLE_FAILS = frozenset({Fact.BUNDLE_MISSING, Fact.BUNDLE_UNREADABLE, Fact.BUNDLE_EXPIRED})
"""Each of these makes calls fail."""
_VERSION_TAG = re.compile(r":v?(\d+\.\d+\.\d+[\w.+-]*)$", re.ASCII)


def service_of(seen: JsonObject | Unseen | None, names: Names) -> tuple[str, str] | None:
    """Return namespace and name of the called Service; None if only URLs are called."""
    entries: list[JsonObject] = [] if seen is None or isinstance(seen, Unseen) else seen.get("webhooks") or []
    clients: list[JsonObject] = [entry["clientConfig"] for entry in entries]
    for client in clients:
        if client.get("service"):
            return client["service"]["namespace"], client["service"]["name"]
    return None if clients else (names.namespace, DEPLOYMENT)


def about_installation(seen: Observations, now: datetime.datetime) -> Iterator[Conclusion]:
    """Conclude whether pods are sent to the webhook, and whether its responses arrive."""
    yield from _configuration(seen, now)
    service = service_of(seen.configuration, seen.names)
    if service is None:
        return
    yield from _deployment(seen, *service)
    # Without a Deployment, it has already been reported that the webhook is down.
    if seen.deployment is not None or _ready_endpoints(seen):
        yield from _endpoints(seen, *service)


def _configuration(seen: Observations, now: datetime.datetime) -> Iterator[Conclusion]:
    name = {"name": seen.names.configuration}
    if isinstance(seen.configuration, Unseen):
        yield unseen(seen.configuration)
        return
    if seen.configuration is None:
        yield Conclusion(Fact.NOT_INSTALLED, name)
        return
    if not seen.pod_entries:
        yield Conclusion(Fact.NO_ENTRIES, name)
        return
    # The API server's default is Fail.
    for fact, policy in ((Fact.FAILS_CLOSED, "Fail"), (Fact.FAILS_OPEN, "Ignore")):
        chosen = [entry for entry in seen.pod_entries if entry.get("failurePolicy", "Fail") == policy]
        if chosen:
            yield Conclusion(fact, {"entries": _named(chosen, seen)})
    bundles = list(_bundles(seen, now))
    yield from _guard(seen, bundles)
    outside = [entry for entry in seen.entries if not entry["clientConfig"].get("service")]
    if outside:
        yield Conclusion(Fact.CALLED_BY_URL, {"entries": _named(outside, seen)})
    yield from _called_elsewhere(seen)
    yield from bundles


def _guard(seen: Observations, bundles: list[Conclusion]) -> Iterator[Conclusion]:
    if not seen.guards:
        yield Conclusion(Fact.GUARD_MISSING)
    elif not any(conclusion.fact is Fact.GUARD_FAILS for conclusion in bundles):
        yield Conclusion(Fact.GUARD_THERE, {"entries": _named(seen.guards, seen)})


def _called_elsewhere(seen: Observations) -> Iterator[Conclusion]:
    by_service: dict[tuple[str, str], list[JsonObject]] = {}
    for entry in seen.entries:
        service = entry["clientConfig"].get("service")
        if service and service["namespace"] != seen.names.namespace:
            by_service.setdefault((service["namespace"], service["name"]), []).append(entry)
    for (namespace, name), entries in by_service.items():
        values = {"called": namespace, "service": name, "namespace": seen.names.namespace}
        yield Conclusion(Fact.CALLED_ELSEWHERE, {"entries": _named(entries, seen), **values})


def _bundles(seen: Observations, now: datetime.datetime) -> Iterator[Conclusion]:
    """Conclude from each distinct bundle."""
    namespace, name = service_of(seen.configuration, seen.names) or (seen.names.namespace, DEPLOYMENT)
    by_bundle: dict[str, list[JsonObject]] = {}
    for entry in seen.entries:
        by_bundle.setdefault(entry["clientConfig"].get("caBundle") or "", []).append(entry)
    for bundle, entries in by_bundle.items():
        values = {"entries": _named(entries, seen), "namespace": namespace, "deployment": name}
        if not bundle and not any(entry["clientConfig"].get("service") for entry in entries):
            continue
        conclusion = _certificates(_decoded(bundle), values, now) if bundle else Conclusion(Fact.BUNDLE_MISSING, values)
        # Pods are still protected if only calls of the eviction guard fail.
        is_harmless = conclusion.fact in BUNDLE_FAILS and all(map(is_guard, entries))
        yield Conclusion(Fact.GUARD_FAILS, values) if is_harmless else conclusion


def _certificates(certificates: list[x509.Certificate], values: dict[str, str], now: datetime.datetime) -> Conclusion:
    if not certificates:
        return Conclusion(Fact.BUNDLE_UNREADABLE, values)
    last = max(certificates, key=lambda certificate: certificate.not_valid_after_utc)
    until = last.not_valid_after_utc
    values = {**values, "count": counted(len(certificates), "CA"), "until": f"{until:%Y-%m-%d %H:%M} UTC"}
    if not any(each.not_valid_before_utc <= now <= each.not_valid_after_utc for each in certificates):
        return Conclusion(Fact.BUNDLE_EXPIRED, values)
    left = until - now
    values["left"] = counted(left.days, "day") if left.days else counted(left.seconds // 3600, "hour")
    return Conclusion(Fact.BUNDLE_ENDS_SOON if left < LATEST_RENEWAL else Fact.BUNDLE_VALID, values)


def _decoded(bundle: str) -> list[x509.Certificate]:
    try:
        return read_bundle(base64.b64decode(bundle))
    except binascii.Error:
        return []


def _deployment(seen: Observations, namespace: str, name: str) -> Iterator[Conclusion]:
    values = {"namespace": namespace, "deployment": name}
    if isinstance(seen.deployment, Unseen):
        yield unseen(seen.deployment)
        return
    if seen.deployment is None:
        yield Conclusion(Fact.REPLICAS_ELSEWHERE if _ready_endpoints(seen) else Fact.NO_DEPLOYMENT, values)
        return
    replicas = [] if isinstance(seen.replicas, Unseen) else seen.replicas
    images = sorted(_images(replicas)) or [str(_webhook_image(seen.deployment["spec"]["template"]))]
    # The API server's default for a missing field is 1.
    wanted = seen.deployment["spec"].get("replicas", 1)
    ready = (seen.deployment.get("status") or {}).get("readyReplicas", 0)
    trouble = listed(_troubles(replicas))
    counts = {
        **values,
        "ready": ready,
        "wanted": wanted,
        "images": ", ".join(images),
        "trouble": f" ({trouble})" if trouble else "",
    }
    if not ready:
        yield Conclusion(Fact.NO_REPLICA if wanted else Fact.SCALED_TO_ZERO, counts)
    else:
        yield Conclusion(Fact.REPLICAS_READY if ready >= wanted else Fact.FEWER_REPLICAS, counts)
    if len(images) > 1:
        yield Conclusion(Fact.IMAGES_DIFFER, counts)


def running_versions(seen: Observations) -> list[str]:
    """Return the running versions, as far as image tags show them."""
    pods = [] if isinstance(seen.replicas, Unseen) else seen.replicas
    images = _images(pod for pod in pods if _is_ready(pod))
    return [found[1] for image in images if (found := _VERSION_TAG.search(image))]


def _is_ready(pod: JsonObject) -> bool:
    conditions: list[JsonObject] = (pod.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _images(pods: Iterable[JsonObject]) -> set[str]:
    return {_webhook_image(pod) for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def _webhook_image(pod: JsonObject) -> str:
    """Return the image of the webhook's container: a mesh may have added others after it."""
    containers: list[JsonObject] = pod["spec"]["containers"]
    named = [container for container in containers if container["name"] == "webhook"]
    return str((named or containers)[0]["image"])


def _troubles(pods: list[JsonObject]) -> Iterator[str]:
    """Return why pods do not run, in the words of the kubelet and the scheduler."""
    for pod in pods:
        status = pod.get("status") or {}
        waiting = [(each.get("state") or {}).get("waiting") for each in status.get("containerStatuses") or ()]
        reasons = [each["reason"] for each in waiting if each and each.get("reason")]
        reasons += [
            each["reason"]
            for each in status.get("conditions") or ()
            if each["type"] == "PodScheduled" and each["status"] == "False" and each.get("reason")
        ]
        if reasons:
            yield f"{pod['metadata']['name']}: {reasons[0]}"


def _endpoints(seen: Observations, namespace: str, service: str) -> Iterator[Conclusion]:
    if isinstance(seen.endpoint_slices, Unseen):
        yield unseen(seen.endpoint_slices)
        return
    ready = _ready_endpoints(seen)
    values = {"namespace": namespace, "service": service, "ready": counted(ready, "ready endpoint")}
    yield Conclusion(Fact.ENDPOINTS_READY if ready else Fact.NO_ENDPOINT, values)


def _ready_endpoints(seen: Observations) -> int:
    """Count; an endpoint without a known state counts as ready.

    https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
    """
    slices = [] if isinstance(seen.endpoint_slices, Unseen) else seen.endpoint_slices
    endpoints = [endpoint for each in slices for endpoint in each.get("endpoints") or ()]
    return sum((endpoint.get("conditions") or {}).get("ready") is not False for endpoint in endpoints)


def unseen(what: Unseen) -> Conclusion:
    """Report that a permission is missing."""
    return Conclusion(Fact.RIGHT_MISSING, {"right": what.right})


def _named(entries: list[JsonObject], seen: Observations) -> str:
    """Name the entries of the configuration."""
    if len(entries) == len(seen.entries):
        return "all entries"
    if entries == seen.pod_entries:
        return "all entries for pods"
    return f"entry {', '.join(entry['name'] for entry in entries)}"
