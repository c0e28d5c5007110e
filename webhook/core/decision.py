"""The decision on a pod: the verdict, the reasons, and the plan."""

from __future__ import annotations

import msgspec

from webhook.core.annotations import LABEL, read_settings
from webhook.core.errors import Refused
from webhook.core.image_config import NO_IMAGES, Images
from webhook.core.plan.lookup_failures import check_refusal
from webhook.core.plan.pod_plan import PodPlan, plan_pod
from webhook.core.pod import Pod
from webhook.core.policy import Policy, RegistryTrouble
from webhook.core.reasons import Finding, Kind, Reason
from webhook.core.select.pods import check_size, is_labelled, never_touched
from webhook.core.select.workers import find_lookups, find_workers, is_plainly_no_worker
from webhook.core.status import read_status

_LEFT_ALONE_WITHOUT_LABEL = frozenset(
    {
        Reason.COMMAND_UNKNOWN,
        Reason.SHELL_MISSING,
        Reason.STOP_SIGNAL_UNHEARD,
        Reason.VOLUME_CONFLICT,
        Reason.WORKERS_AMBIGUOUS,
        Reason.ANNOTATIONS_FULL,
        Reason.TOO_MANY_CONTAINERS,
        Reason.SHELL_TEXT_TOO_LONG,
        Reason.PATCH_TOO_LARGE,
    }
)
"""Refusals because graceful-worker cannot know or do something."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The decision on a pod; `plan` is None if nothing changes.

    `lookups` lists the containers whose images are worth looking up.
    """

    outcome: Kind
    verdict: Finding
    findings: tuple[Finding, ...] = ()
    plan: PodPlan | None = None
    lookups: tuple[str, ...] = ()

    @property
    def reason(self) -> Reason:
        """The reason for the verdict."""
        return self.verdict.reason


def decide(pod: Pod, policy: Policy, images: Images = NO_IMAGES) -> Decision:
    """Decide on a pod, given the known facts about its images."""
    settings = status = None
    try:
        untouched = never_touched(pod)
        if untouched is not None:
            return Decision(Kind.LEFT_ALONE, Finding(untouched))
        labelled = is_labelled(pod)
        if policy.only_labelled and not labelled:
            return Decision(Kind.LEFT_ALONE, Finding(Reason.NOT_LABELLED))
        check_size(pod)
        settings = read_settings(pod.annotations)
        status = read_status(pod.annotations)
        workers = find_workers(pod, settings, images, status.workers if status else {})
        if not labelled and is_plainly_no_worker(pod, workers, images):
            return Decision(Kind.LEFT_ALONE, Finding(Reason.NOT_A_WORKER, workers[0].container.name))
        plan = plan_pod(pod, policy, settings, status, workers, images)
    except Refused as refused:
        outcome, finding = _apply_refusal(refused, pod, policy, images)
        return Decision(outcome, finding, lookups=find_lookups(pod, settings, status, images))
    knows_all = all(worker.container.command for worker in workers)
    lookups = () if knows_all else find_lookups(pod, settings, status, images)
    return Decision(Kind.PROTECTED, Finding(Reason.INJECTED), plan.findings, plan, lookups)


def _apply_refusal(refused: Refused, pod: Pod, policy: Policy, images: Images) -> tuple[Kind, Finding]:
    outcome = outcome_of(refused, pod)
    if outcome is Kind.LEFT_ALONE and policy.registry_trouble is RegistryTrouble.REFUSE:
        try:
            check_refusal(refused, images)
        except Refused as required:
            return Kind.REFUSED, required.finding
    return outcome, refused.finding


def outcome_of(refused: Refused, pod: Pod) -> Kind:
    """Return the outcome of a refusal: what graceful-worker cannot do refuses only pods with their own label."""
    without_label = pod.labels.get(LABEL) is None
    return Kind.LEFT_ALONE if without_label and refused.finding.reason in _LEFT_ALONE_WITHOUT_LABEL else Kind.REFUSED
