"""The entry point of the core: a raw pod in, the decision and its patch out."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from webhook.core.decision import Decision, decide, outcome_of
from webhook.core.errors import Malformed, Refused
from webhook.core.image_config import NO_IMAGES, Images
from webhook.core.patch.json_patch import Operation
from webhook.core.patch.pod_patch import emit
from webhook.core.pod import JsonObject, Pod, check_names, read_pod
from webhook.core.policy import Policy
from webhook.core.reasons import Finding, Kind, Reason
from webhook.core.status import unknown_fields
from webhook.core.warnings import format_warning


class Injection(msgspec.Struct, frozen=True):
    """A decision, and the operations that implement it."""

    decision: Decision
    patch: list[Operation]

    @property
    def refusal(self) -> str:
        """The message for the author of a refused pod; empty if the pod is not refused."""
        verdict = self.decision.verdict
        if self.decision.outcome is not Kind.REFUSED:
            return ""
        return f"graceful-worker refuses this pod: {verdict} [{verdict.reason.value}]"

    @property
    def warnings(self) -> list[str]:
        """The warnings for the client that creates the pod, also if the pod is left alone for lack of something."""
        warnings = [format_warning(f) for f in self.decision.findings if f.reason.kind is Kind.WARNING]
        verdict = self.decision.verdict
        if self.decision.outcome is Kind.LEFT_ALONE and verdict.reason.kind is Kind.REFUSED:
            warnings.append(format_warning(replace(verdict, detail="")))
        return warnings


def inject(raw: JsonObject, policy: Policy, images: Images = NO_IMAGES) -> Injection:
    """Decide on a raw pod or pod template; `raw` is not modified."""
    try:
        pod = read_pod(raw)
    except Malformed as malformed:
        return _refused(malformed)
    return inject_pod(pod, policy, images)


def inject_pod(pod: Pod, policy: Policy, images: Images = NO_IMAGES) -> Injection:
    """Decide on a parsed pod, given the known facts about its images."""
    try:
        check_names(pod)
    except Malformed as malformed:
        return _refused(malformed)
    decision = decide(pod, policy, images)
    if decision.plan is None:
        return Injection(decision, [])
    try:
        # What a newer version has made stays as it is: its record has fields that a new one from here would lack.
        patch = [] if unknown_fields(pod.annotations) else emit(pod, decision.plan)
    except Refused as refused:
        return Injection(Decision(outcome_of(refused, pod), refused.finding), [])
    if patch:
        return Injection(decision, patch)
    remaining = tuple(finding for finding in decision.findings if finding.reason.kind is not Kind.CHANGE)
    return Injection(replace(decision, verdict=Finding(Reason.UNCHANGED), findings=remaining), [])


def _refused(malformed: Malformed) -> Injection:
    return Injection(Decision(Kind.REFUSED, Finding(Reason.POD_MALFORMED, detail=str(malformed))), [])
