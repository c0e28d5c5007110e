"""What it does to a pod that its images could not be asked: it is admitted with a warning, or refused."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from webhook.core.annotations import annotation_of
from webhook.core.images import TROUBLES, Image, Images, Unavailable
from webhook.core.reasons import Finding, Reason
from webhook.core.refusal import Refused

# Refusals that an answer might have spared the pod.
_FOR_WANT_OF_AN_ANSWER = frozenset({Reason.COMMAND_UNKNOWN, Reason.WORKERS_AMBIGUOUS})


class OnTrouble(Enum):
    """What the operator wants."""

    ADMIT = "admit"
    REFUSE = "refuse"


def is_trouble(image: Image | Unavailable | None) -> bool:
    """Tell whether an image could not be asked, which says nothing of it."""
    return isinstance(image, Unavailable) and image.reason in TROUBLES


def check_answered(findings: Iterable[Finding], images: Images) -> None:
    """Make sure that no worker counts as an unknown one only because its image could not be asked.

    Raises:
        Refused: one does.

    """
    for finding in findings:
        if finding.reason is Reason.REGISTRY_TROUBLE:
            raise _required(finding.container, images)


def check_refusal(refused: Refused, images: Images) -> None:
    """Make sure that a pod is not left alone only because its images could not be asked.

    Raises:
        Refused: it is.

    """
    if refused.finding.reason not in _FOR_WANT_OF_AN_ANSWER:
        return
    concerned = [refused.finding.container] if refused.finding.container else images
    for name in concerned:
        if is_trouble(images.get(name)):
            raise _required(name, images) from None


def _required(name: str, images: Images) -> Refused:
    remedy = f"try again, or set the command in the manifest or in annotation {annotation_of('command')}"
    return Refused(Reason.REGISTRY_REQUIRED, name, f"{images[name]}; {remedy}")
