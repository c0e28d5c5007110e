"""The requests of one lookup to a registry: manifests and blobs, with verified digests.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http import HTTPStatus

from httpx2 import URL

from webhook.core.reasons import Reason
from webhook.images.access import Access
from webhook.images.credentials import Credential
from webhook.images.documents import INDEX_TYPES, MANIFEST_TYPES
from webhook.images.egress import authority
from webhook.images.errors import LookupFailed
from webhook.images.patience import Patience, is_busy
from webhook.images.reference import Reference, is_digest
from webhook.images.statuses import check_status
from webhook.images.transfers import Answer, Question

LIMIT = 4 * 1024 * 1024
"""Maximum size of a document, in bytes: registries have the same limit for manifests."""
_DIGEST_HEADER = "docker-content-digest"
_ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or an index from the registry."""

    body: bytes
    content_type: str
    digest: str


class Registry:
    """Requests one image, with one credential or anonymously."""

    def __init__(self, patience: Patience, base: URL, reference: Reference, credential: Credential | None) -> None:
        self._patience = patience
        self._base = base
        self._reference = reference
        self._credential = credential
        self._access = Access(patience, base, reference.repository, credential)

    async def digest(self) -> str:
        """Return the current digest of the image's name; empty if the registry does not return one.

        Raises:
            LookupFailed: there is no response.

        """
        answer = await self._ask("HEAD", f"manifests/{self._reference.version}", _ACCEPT)
        if is_busy(answer):
            check_status(answer, self._base, self._credential, "")
        digest = answer.first(_DIGEST_HEADER)
        return digest if answer.status == HTTPStatus.OK and is_digest(digest) else ""

    async def manifest(self, version: str) -> Document:
        """Fetch a manifest or an index, by tag or digest.

        Raises:
            LookupFailed: it does not exist, or does not match the digest.

        """
        answer = await self._ask("GET", f"manifests/{version}", _ACCEPT)
        self._check(answer, f"{self._reference.repository} {version}")
        told = answer.first(_DIGEST_HEADER)
        expected = next(filter(is_digest, (version, told)), "")
        digest = _digest(answer.body, expected.partition(":")[0] or "sha256")
        if expected and digest != expected:
            raise self._mismatch(expected)
        return Document(answer.body, answer.first("content-type"), digest)

    async def blob(self, digest: str) -> bytes:
        """Fetch a blob by its digest.

        Raises:
            LookupFailed: it does not exist, or does not match the digest.

        """
        answer = await self._ask("GET", f"blobs/{digest}", "*/*")
        self._check(answer, f"the blob {digest} of {self._reference.repository}")
        if _digest(answer.body, digest.partition(":")[0]) != digest:
            raise self._mismatch(digest)
        return answer.body

    async def _ask(self, method: str, path: str, accept: str) -> Answer:
        url = self._base.join(f"{self._reference.repository}/{path}")

        async def ask() -> Answer:
            headers = {"Accept": accept, **self._access.headers}
            return await self._patience.ask(Question(method, url, headers, limit=LIMIT))

        answer = await ask()
        if answer.status == HTTPStatus.UNAUTHORIZED and await self._access.renew(answer):
            return await ask()
        return answer

    def _check(self, answer: Answer, what: str) -> None:
        check_status(answer, self._base, self._credential, what)

    def _mismatch(self, digest: str) -> LookupFailed:
        detail = f"{authority(self._base)} returned content that does not match {digest}"
        return LookupFailed(Reason.IMAGE_INVALID, detail)


def _digest(body: bytes, algorithm: str) -> str:
    # Only supported algorithms: see is_digest.
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"
