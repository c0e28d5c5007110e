"""What a registry's status means, and what to do about it."""

from __future__ import annotations

from http import HTTPStatus

from httpx2 import URL

from webhook.core.reasons import Reason
from webhook.images.credentials import Credential
from webhook.images.egress import authority
from webhook.images.failure import Failed
from webhook.images.patience import is_busy, retry_after
from webhook.images.transfers import Answer

_LONGEST_WAIT = 300.0
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def check_status(answer: Answer, url: URL, credential: Credential | None, what: str) -> None:
    """Check that an answer is what was asked for; `what` says that.

    Raises:
        Failed: it is not.

    """
    status, host = answer.status, authority(url)
    if status == HTTPStatus.OK:
        return
    if status in _DENIED:
        raise Failed(Reason.IMAGE_DENIED, f"{host} answers {status} {_remedy(credential)}")
    if status == HTTPStatus.NOT_FOUND:
        raise Failed(Reason.IMAGE_NOT_FOUND, f"{host} has not got {what}")
    if is_busy(answer):
        seconds = retry_after(answer)
        again = "" if seconds is None else f"; again in {seconds:.0f} s"
        # Were it none, the next pod would ask again at once.
        lasting = min(seconds, _LONGEST_WAIT) if seconds else None
        raise Failed(Reason.REGISTRY_FAILED, f"{host} answers 429, it is asked too often{again}", lasting)
    raise Failed(Reason.REGISTRY_FAILED, f"{host} answers {status}")


def _remedy(credential: Credential | None) -> str:
    if credential:
        return "to the credentials that it was asked with: check imagePullSecrets"
    return (
        "to a question without credentials: it is private, or not there; "
        "imagePullSecrets help if the webhook may read them (docs/images.md)"
    )
