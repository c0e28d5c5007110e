"""Interprets a registry's HTTP status, with advice."""

from __future__ import annotations

from http import HTTPStatus

from httpx2 import URL

from webhook.core.reasons import Reason
from webhook.images.credentials import Credential
from webhook.images.egress import authority
from webhook.images.errors import LookupFailed
from webhook.images.patience import is_busy, retry_after
from webhook.images.transfers import Answer

_LONGEST_WAIT = 300.0
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def check_status(answer: Answer, url: URL, credential: Credential | None, what: str) -> None:
    """Check that a response is successful; `what` names what was requested.

    Raises:
        LookupFailed: it is not.

    """
    status, host = answer.status, authority(url)
    if status == HTTPStatus.OK:
        return
    if status in _DENIED:
        raise LookupFailed(Reason.IMAGE_DENIED, f"{host} returned {status} {_remedy(credential)}")
    if status == HTTPStatus.NOT_FOUND:
        raise LookupFailed(Reason.IMAGE_NOT_FOUND, f"{host} does not have {what}")
    if is_busy(answer):
        seconds = retry_after(answer)
        again = "" if seconds is None else f"; retry in {seconds:.0f} s"
        # With 0, the next pod would retry at once.
        lasting = min(seconds, _LONGEST_WAIT) if seconds else None
        raise LookupFailed(Reason.REGISTRY_FAILED, f"{host} returned 429 (too many requests){again}", lasting)
    raise LookupFailed(Reason.REGISTRY_FAILED, f"{host} returned {status}")


def _remedy(credential: Credential | None) -> str:
    if credential:
        return "for the credentials in use: check imagePullSecrets"
    return (
        "without credentials: the image is private or missing; "
        "imagePullSecrets help if the webhook may read them (docs/images.md)"
    )
