"""The diagnostics that `status` can report: code, severity, topic, sentence and advice."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from webhook.core.coded_enum import CodedEnum


class Severity(Enum):
    """How serious a diagnostic is."""

    OK = "ok"
    NOTE = "note"
    ERROR = "wrong"
    UNKNOWN = "unknown"


class Code(CodedEnum):
    """The code of a diagnostic; `{name}` in sentence and advice is replaced by a value."""

    severity: Severity
    topic: str
    sentence: str
    advice: str

    RIGHT_MISSING = "right-missing", Severity.UNKNOWN, "rights", "Unknown: permission missing: {right}."

    # The configuration and its bundles.
    NOT_INSTALLED = (
        "not-installed",
        Severity.ERROR,
        "configuration",
        "MutatingWebhookConfiguration {name} does not exist, so no pod is sent to the webhook.",
        "kubectl apply -k deploy/",
    )
    NO_ENTRIES = (
        "no-entries",
        Severity.ERROR,
        "configuration",
        "MutatingWebhookConfiguration {name} has no entry for pods, so no pod is sent to the webhook.",
        "kubectl apply -k deploy/",
    )
    FAILS_CLOSED = (
        "fails-closed",
        Severity.OK,
        "configuration",
        "failurePolicy Fail ({entries}): while the webhook is down, labelled pods cannot be created.",
    )
    FAILS_OPEN = (
        "fails-open",
        Severity.NOTE,
        "configuration",
        "failurePolicy Ignore ({entries}): while the webhook is down, pods are created unprotected.",
    )
    CALLED_ELSEWHERE = (
        "called-elsewhere",
        Severity.ERROR,
        "configuration",
        "The configuration calls Service {service} in namespace {called}, not in {namespace} ({entries}).",
        "graceful-worker status --namespace {called}, or kubectl apply -k deploy/",
    )
    CALLED_BY_URL = (
        "called-by-url",
        Severity.UNKNOWN,
        "configuration",
        "The configuration calls a URL, not a Service ({entries}); whether it responds is not checked.",
    )
    BUNDLE_MISSING = (
        "bundle-missing",
        Severity.ERROR,
        "certificates",
        "caBundle is empty ({entries}), so every call fails; a replica should fill it in.",
        "kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )
    BUNDLE_UNREADABLE = (
        "bundle-unreadable",
        Severity.ERROR,
        "certificates",
        "caBundle contains no certificate ({entries}), so every call fails; a replica should fix it.",
        "kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )
    BUNDLE_EXPIRED = (
        "bundle-expired",
        Severity.ERROR,
        "certificates",
        "No CA in caBundle is valid ({entries}; the last one expired on {until}), so every call fails.",
        "kubectl -n {namespace} logs deployment/{deployment} --tail=50; check the clocks",
    )
    BUNDLE_ENDS_SOON = (
        "bundle-ends-soon",
        Severity.ERROR,
        "certificates",
        "The CA in caBundle expires on {until} (in {left}; {entries}); it should have been renewed by now.",
        "kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )
    BUNDLE_VALID = "bundle-valid", Severity.OK, "certificates", "{count} in caBundle, valid until {until} (for {left})."
    GUARD_THERE = (
        "guard-there",
        Severity.OK,
        "configuration",
        "The eviction guard is installed ({entries}): protected pods keep their grace period when they are evicted.",
    )
    GUARD_MISSING = (
        "guard-missing",
        Severity.NOTE,
        "configuration",
        "The eviction guard is not installed: evictions can shorten a protected pod's grace period.",
        "kubectl apply -k deploy/, unless the overlay eviction-policy is installed",
    )
    GUARD_FAILS = (
        "guard-fails",
        Severity.ERROR,
        "certificates",
        "The eviction guard has no valid CA ({entries}), so evictions shorten grace periods; a replica should fix it.",
        "kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )

    # Those who answer.
    NO_DEPLOYMENT = (
        "no-deployment",
        Severity.ERROR,
        "replicas",
        "Deployment {deployment} does not exist in namespace {namespace}, so the webhook is down.",
        "kubectl apply -k deploy/",
    )
    SCALED_TO_ZERO = (
        "scaled-to-zero",
        Severity.ERROR,
        "replicas",
        "Deployment {deployment} is scaled to zero, so the webhook is down.",
        "kubectl -n {namespace} scale deployment/{deployment} --replicas=2",
    )
    NO_REPLICA = (
        "no-replica",
        Severity.ERROR,
        "replicas",
        "0 of {wanted} ready, so the webhook is down.{trouble}",
        "kubectl -n {namespace} describe pods; kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )
    FEWER_REPLICAS = (
        "fewer-replicas",
        Severity.ERROR,
        "replicas",
        "Only {ready} of {wanted} ready.{trouble}",
        "kubectl -n {namespace} describe pods; kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )
    REPLICAS_READY = "replicas-ready", Severity.OK, "replicas", "{ready} of {wanted} ready: {images}."
    IMAGES_DIFFER = "images-differ", Severity.NOTE, "replicas", "Their images differ, as during a rollout.{trouble}"
    REPLICAS_ELSEWHERE = (
        "replicas-elsewhere",
        Severity.NOTE,
        "replicas",
        "Deployment {deployment} does not exist in namespace {namespace}; the pods behind the Service are not checked.",
    )
    NO_ENDPOINT = (
        "no-endpoint",
        Severity.ERROR,
        "endpoints",
        "Service {service} in namespace {namespace} has no ready endpoints.",
        "kubectl -n {namespace} get service,endpointslices,pods",
    )
    ENDPOINTS_READY = "endpoints-ready", Severity.OK, "endpoints", "Service {service} has {ready}."

    # Namespaces and pods.
    NAMESPACES_LABELLED = "namespaces-labelled", Severity.OK, "namespaces", "{count} labelled: {namespaces}."
    NO_NAMESPACE = (
        "no-namespace",
        Severity.NOTE,
        "namespaces",
        "No namespace is labelled: only pods that have the label themselves are protected.",
    )
    NAMESPACE_MISLABELLED = (
        "namespace-mislabelled",
        Severity.ERROR,
        "namespaces",
        "Label {label} of namespace {namespace} is not valid: its pods are not protected.",
        "kubectl label namespace {namespace} --overwrite graceful-worker=enabled",
    )
    NAMESPACE_LEFT_OUT = (
        "namespace-left-out",
        Severity.NOTE,
        "namespaces",
        "Namespace {namespace} is labelled, but excluded by the configuration.",
    )

    # The pods.
    PODS_PROTECTED = "pods-protected", Severity.OK, "pods", "{count} protected: {namespaces}."
    NO_POD = "no-pod", Severity.NOTE, "pods", "No pod is protected yet."
    PODS_OLDER = (
        "pods-older",
        Severity.NOTE,
        "pods",
        "{count} protected by versions before {version} ({versions}); these pods keep the older scripts.",
        "graceful-worker repair lists their owners; with --yes, it restarts them",
    )
    VERSION_UNKNOWN = (
        "version-unknown",
        Severity.NOTE,
        "pods",
        "Whether pods keep older scripts is unknown: nothing of the webhook shows its version.",
        "set the label app.kubernetes.io/version in the webhook's pod template",
    )
    UNPROTECTED = ("unprotected", Severity.ERROR, "pods", "{owner} in {namespace}: {count} unprotected.", "{recreate}")
    UNRECORDED = (
        "unrecorded",
        Severity.ERROR,
        "pods",
        "{owner} in {namespace}: {count} with label graceful-worker/injected, but without graceful-worker/status.",
        "remove this label from the manifest; {recreate}",
    )
    REFUSED = (
        "refused",
        Severity.ERROR,
        "pods",
        "{owner} in {namespace}: {count} unprotected, and would now be refused: {verdict}",
        "kubectl -n {namespace} get pod {pods[0]} -o yaml | graceful-worker explain -f -",
    )
    MISLABELLED = (
        "mislabelled",
        Severity.ERROR,
        "pods",
        "{owner} in {namespace}: {count} unprotected: {verdict}",
        "set the label graceful-worker: enabled in the pod template",
    )
    LEFT_ALONE = "left-alone", Severity.NOTE, "pods", "{owner} in {namespace}: {count} left alone: {verdict}"

    # Limits of drains.
    DRAIN_CUT = "drain-cut", Severity.NOTE, "drains", "{says} ({place}); grace periods of pods: {places}.", "{remedy}"
    DRAIN_KEPT = (
        "drain-kept",
        Severity.OK,
        "drains",
        "{says} ({place}), but the eviction guard keeps grace periods: {places}.",
    )
    DRAIN_UNLIMITED = (
        "drain-unlimited",
        Severity.OK,
        "drains",
        "Nothing was found that ends a drain of these pods early.",
    )
    LIMIT_UNREADABLE = (
        "limit-unreadable",
        Severity.NOTE,
        "drains",
        "{title}: the time that it gives a pod cannot be read ({place}).",
    )
    LIMIT_RIGHT_MISSING = (
        "limit-right-missing",
        Severity.NOTE,
        "drains",
        "Other limits are unknown: permissions missing: {rights}.",
    )
    KUBELETS_NOT_ASKED = (
        "kubelets-not-asked",
        Severity.NOTE,
        "drains",
        "How long a node shutdown waits for pods is not checked: --kubelets asks the kubelets.",
    )
    KUBELET_SILENT = "kubelet-silent", Severity.NOTE, "drains", "The kubelet of node {node} does not respond."
    KUBELETS_LEFT_OUT = (
        "kubelets-left-out",
        Severity.NOTE,
        "drains",
        "{asked} of {kinds} kinds of nodes were checked; the others are unknown.",
    )

    # How drains went.
    HISTORY_SEEN = "history-seen", Severity.OK, "history", "{count} since {since}{how}."
    HISTORY_ADVICE = "history-advice", Severity.NOTE, "history", "{owner} in {namespace}: {says}.", "{todo}"
    HISTORY_UNKNOWN = (
        "history-unknown",
        Severity.NOTE,
        "history",
        "How drains ended is unknown: {why}.",
        "graceful-worker drains --history reads what pods and Events still tell",
    )


class Diagnostic(msgspec.Struct, frozen=True):
    """What a check found in this cluster, with its details."""

    code: Code
    values: dict[str, Any] = {}

    @property
    def sentence(self) -> str:
        """Format it as one line."""
        return self.code.sentence.format_map(self.values)

    @property
    def advice(self) -> str:
        """What to do about it; empty if nothing."""
        return self.code.advice.format_map(self.values)
