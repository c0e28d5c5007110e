"""The policy for images that cannot be looked up: the pod is admitted with a warning, or refused."""

from __future__ import annotations

from collections.abc import Iterable

from webhook.core.annotations import annotation_of
from webhook.core.errors import Refused
from webhook.core.image_config import TROUBLES, Image, Images, Unavailable
from webhook.core.reasons import Finding, Reason

# Refusals that a lookup might have prevented.
_PREVENTABLE_BY_LOOKUP = frozenset({Reason.COMMAND_UNKNOWN, Reason.WORKERS_AMBIGUOUS})


def is_registry_trouble(image: Image | Unavailable | None) -> bool:
    """Tell whether the lookup of an image failed, which says nothing about the image."""
    return isinstance(image, Unavailable) and image.reason in TROUBLES


def check_lookups(findings: Iterable[Finding], images: Images) -> None:
    """Check that no worker counts as unknown only because its image could not be looked up.

    Raises:
        Refused: one does.

    """
    for finding in findings:
        if finding.reason is Reason.REGISTRY_TROUBLE:
            raise _lookup_required(finding.container, images)


def check_refusal(refused: Refused, images: Images) -> None:
    """Check that a pod is not left alone only because its images could not be looked up.

    Raises:
        Refused: it is.

    """
    if refused.finding.reason not in _PREVENTABLE_BY_LOOKUP:
        return
    names = [refused.finding.container] if refused.finding.container else images
    for name in names:
        if is_registry_trouble(images.get(name)):
            raise _lookup_required(name, images) from None


def _lookup_required(name: str, images: Images) -> Refused:
    advice = f"try again, or set the command in the manifest or in annotation {annotation_of('command')}"
    return Refused(Reason.REGISTRY_REQUIRED, name, f"{images[name]}; {advice}")
