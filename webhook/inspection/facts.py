"""The vocabulary of `status`: code, weight, sentence and advice of all that it can say about an installation."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec


class Weight(Enum):
    """How much a fact matters."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"
    UNKNOWN = "unknown"


class Fact(Enum):
    """A fact; its value is the code that scripts read."""

    weight: Weight
    topic: str
    sentence: str
    advice: str

    def __new__(cls, code: str, weight: Weight, topic: str, sentence: str, advice: str = "") -> Fact:
        """Make the code the member's value; `{name}` in sentence and advice stands for a value of the finding."""
        member = object.__new__(cls)
        member._value_ = code
        member.weight = weight
        member.topic = topic
        member.sentence = sentence
        member.advice = advice
        return member

    RIGHT_MISSING = "right-missing", Weight.UNKNOWN, "rights", "Not seen: you may not {right}."

    # The configuration and its bundles.
    NOT_INSTALLED = (
        "not-installed",
        Weight.WRONG,
        "configuration",
        "There is no MutatingWebhookConfiguration {name}: no pod is sent to the webhook.",
        "kubectl apply -k deploy/",
    )
    NO_ENTRIES = (
        "no-entries",
        Weight.WRONG,
        "configuration",
        "MutatingWebhookConfiguration {name} has no entry for pods: no pod is sent to the webhook.",
        "kubectl apply -k deploy/",
    )
    FAILS_CLOSED = (
        "fails-closed",
        Weight.OK,
        "configuration",
        "failurePolicy Fail ({entries}): while the webhook is down, no labelled pod is created.",
    )
    FAILS_OPEN = (
        "fails-open",
        Weight.NOTE,
        "configuration",
        "failurePolicy Ignore ({entries}): while the webhook is down, pods are created unprotected.",
    )
    CALLED_ELSEWHERE = (
        "called-elsewhere",
        Weight.WRONG,
        "configuration",
        "The configuration calls Service {service} in namespace {called}, not in {namespace} ({entries}).",
        "graceful-worker status --namespace {called}, or kubectl apply -k deploy/",
    )
    CALLED_BY_URL = (
        "called-by-url",
        Weight.UNKNOWN,
        "configuration",
        "An address is called, not a Service ({entries}): whether somebody answers there is not looked at.",
    )
    BUNDLE_MISSING = (
        "bundle-missing",
        Weight.WRONG,
        "certificates",
        "There is no caBundle ({entries}), so each call fails; a replica ought to fill it in.",
        "kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )
    BUNDLE_UNREADABLE = (
        "bundle-unreadable",
        Weight.WRONG,
        "certificates",
        "The caBundle holds no certificate ({entries}), so each call fails; a replica ought to heal it.",
        "kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )
    BUNDLE_EXPIRED = (
        "bundle-expired",
        Weight.WRONG,
        "certificates",
        "No CA in caBundle is valid now ({entries}; the last one: until {until}), so each call fails.",
        "kubectl -n {namespace} logs deployment/{deployment} --tail=50; compare the clocks",
    )
    BUNDLE_ENDS_SOON = (
        "bundle-ends-soon",
        Weight.WRONG,
        "certificates",
        "The CA in caBundle ends on {until} (in {left}; {entries}); it ought to have been renewed by now.",
        "kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )
    BUNDLE_VALID = "bundle-valid", Weight.OK, "certificates", "{count} in caBundle, valid until {until} (for {left})."
    GUARD_THERE = (
        "guard-there",
        Weight.OK,
        "configuration",
        "The eviction guard is installed ({entries}): protected pods keep their grace period when they are evicted.",
    )
    GUARD_MISSING = (
        "guard-missing",
        Weight.NOTE,
        "configuration",
        "There is no eviction guard: an eviction that asks for less cuts a protected pod's grace period.",
        "kubectl apply -k deploy/, unless the overlay eviction-policy is there",
    )
    GUARD_FAILS = (
        "guard-fails",
        Weight.WRONG,
        "certificates",
        "The eviction guard has no CA of use ({entries}), so evictions cut grace periods; a replica ought to heal it.",
        "kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )

    # Those who answer.
    NO_DEPLOYMENT = (
        "no-deployment",
        Weight.WRONG,
        "replicas",
        "There is no Deployment {deployment} in namespace {namespace}: nobody answers.",
        "kubectl apply -k deploy/",
    )
    SCALED_TO_ZERO = (
        "scaled-to-zero",
        Weight.WRONG,
        "replicas",
        "Deployment {deployment} is scaled to zero: nobody answers.",
        "kubectl -n {namespace} scale deployment/{deployment} --replicas=2",
    )
    NO_REPLICA = (
        "no-replica",
        Weight.WRONG,
        "replicas",
        "0 of {wanted} ready: nobody answers.{trouble}",
        "kubectl -n {namespace} describe pods; kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )
    FEWER_REPLICAS = (
        "fewer-replicas",
        Weight.WRONG,
        "replicas",
        "Only {ready} of {wanted} ready.{trouble}",
        "kubectl -n {namespace} describe pods; kubectl -n {namespace} logs deployment/{deployment} --tail=50",
    )
    REPLICAS_READY = "replicas-ready", Weight.OK, "replicas", "{ready} of {wanted} ready: {images}."
    IMAGES_DIFFER = "images-differ", Weight.NOTE, "replicas", "Their images differ, as during a rollout.{trouble}"
    REPLICAS_ELSEWHERE = (
        "replicas-elsewhere",
        Weight.NOTE,
        "replicas",
        "There is no Deployment {deployment} in namespace {namespace}; those that answer are not looked at.",
    )
    NO_ENDPOINT = (
        "no-endpoint",
        Weight.WRONG,
        "endpoints",
        "Service {service} in namespace {namespace} leads to nobody that is ready.",
        "kubectl -n {namespace} get service,endpointslices,pods",
    )
    ENDPOINTS_READY = "endpoints-ready", Weight.OK, "endpoints", "Service {service} leads to {ready}."

    # Who is to be protected.
    NAMESPACES_LABELLED = "namespaces-labelled", Weight.OK, "namespaces", "{count} labelled: {namespaces}."
    NO_NAMESPACE = (
        "no-namespace",
        Weight.NOTE,
        "namespaces",
        "No namespace is labelled: only pods that bear the label themselves are protected.",
    )
    NAMESPACE_MISLABELLED = (
        "namespace-mislabelled",
        Weight.WRONG,
        "namespaces",
        "Label {label} of namespace {namespace} means nothing: its pods are not protected.",
        "kubectl label namespace {namespace} --overwrite graceful-worker=enabled",
    )
    NAMESPACE_LEFT_OUT = (
        "namespace-left-out",
        Weight.NOTE,
        "namespaces",
        "Namespace {namespace} is labelled, but the configuration leaves it out.",
    )

    # The pods.
    PODS_PROTECTED = "pods-protected", Weight.OK, "pods", "{count} protected: {namespaces}."
    NO_POD = "no-pod", Weight.NOTE, "pods", "No pod is protected yet."
    PODS_OLDER = (
        "pods-older",
        Weight.NOTE,
        "pods",
        "{count} protected by versions before {version} ({versions}): they keep the scripts of these.",
        "graceful-worker repair lists what owns them, and restarts it with --yes",
    )
    UNPROTECTED = (
        "unprotected",
        Weight.WRONG,
        "pods",
        "{owner} in {namespace}: {count} came through unprotected.",
        "{recreate}",
    )
    UNRECORDED = (
        "unrecorded",
        Weight.WRONG,
        "pods",
        "{owner} in {namespace}: {count} bearing the label graceful-worker/injected, but no record of an injection.",
        "take this label out of the manifest; {recreate}",
    )
    REFUSED = (
        "refused",
        Weight.WRONG,
        "pods",
        "{owner} in {namespace}: {count} came through unprotected, and would be refused now: {verdict}",
        "kubectl -n {namespace} get pod {pods[0]} -o yaml | graceful-worker explain -f -",
    )
    MISLABELLED = (
        "mislabelled",
        Weight.WRONG,
        "pods",
        "{owner} in {namespace}: {count} unprotected: {verdict}",
        "write graceful-worker: enabled into the pod template",
    )
    LEFT_ALONE = "left-alone", Weight.NOTE, "pods", "{owner} in {namespace}: {count} left alone: {verdict}"

    # What ends drains early.
    DRAIN_CUT = "drain-cut", Weight.NOTE, "drains", "{says} ({place}); pods may take: {places}.", "{remedy}"
    DRAIN_KEPT = (
        "drain-kept",
        Weight.OK,
        "drains",
        "{says} ({place}), but the eviction guard keeps grace periods: {places}.",
    )
    DRAIN_UNLIMITED = "drain-unlimited", Weight.OK, "drains", "Nothing that was seen ends a drain of these pods early."
    LIMIT_UNREADABLE = (
        "limit-unreadable",
        Weight.NOTE,
        "drains",
        "{title}: how long it gives a pod cannot be read ({place}).",
    )
    LIMIT_RIGHT_MISSING = (
        "limit-right-missing",
        Weight.NOTE,
        "drains",
        "What else ends drains early is unknown: you may not {rights}.",
    )
    KUBELETS_NOT_ASKED = (
        "kubelets-not-asked",
        Weight.NOTE,
        "drains",
        "How long nodes that shut down wait for pods is not looked at: --kubelets asks them.",
    )
    KUBELET_SILENT = "kubelet-silent", Weight.NOTE, "drains", "The kubelet of node {node} does not answer."
    KUBELETS_LEFT_OUT = (
        "kubelets-left-out",
        Weight.NOTE,
        "drains",
        "Kubelets of {asked} of {kinds} kinds of nodes were asked; of the others, nothing is known.",
    )

    # How drains went.
    HISTORY_SEEN = "history-seen", Weight.OK, "history", "{count} since {since}{how}."
    HISTORY_ADVICE = "history-advice", Weight.NOTE, "history", "{owner} in {namespace}: {says}.", "{todo}"
    HISTORY_UNKNOWN = (
        "history-unknown",
        Weight.NOTE,
        "history",
        "How drains went is unknown: {why}.",
        "graceful-worker drains --history tells what is left of them in pods and Events",
    )


class Conclusion(msgspec.Struct, frozen=True):
    """A fact about this cluster, with its particulars."""

    fact: Fact
    values: dict[str, Any] = {}

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        return self.fact.sentence.format_map(self.values)

    @property
    def advice(self) -> str:
        """What to do about it; empty where nothing is to be done."""
        return self.fact.advice.format_map(self.values)
