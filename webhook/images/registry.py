"""The requests of one lookup to a registry: manifests and blobs, with verified digests.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http import HTTPStatus

from httpx2 import URL

from webhook.core.reasons import Reason
from webhook.images.auth import Authenticator
from webhook.images.credentials import Credential
from webhook.images.egress import authority
from webhook.images.errors import LookupFailed
from webhook.images.http import Request, Response, check_status
from webhook.images.oci import INDEX_TYPES, MANIFEST_TYPES
from webhook.images.reference import Reference, is_digest
from webhook.images.retry import RetryingClient

MAX_BYTES = 4 * 1024 * 1024
"""Maximum size of a document: registries have the same limit for manifests."""
_DIGEST_HEADER = "docker-content-digest"
_ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest or an index as the registry sent it."""

    body: bytes
    content_type: str
    digest: str


class RegistryClient:
    """Fetches one image, with one credential or anonymously."""

    def __init__(
        self, client: RetryingClient, base_url: URL, reference: Reference, credential: Credential | None
    ) -> None:
        self._client = client
        self._base_url = base_url
        self._reference = reference
        self._has_credential = credential is not None
        self._authenticator = Authenticator(client, base_url, reference.repository, credential)

    async def get_digest(self) -> str:
        """Return the current digest of the image's name; empty if the registry does not return one.

        Raises:
            LookupFailed: there is no response.

        """
        response = await self._send("HEAD", f"manifests/{self._reference.tag_or_digest}", _ACCEPT)
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._check(response, "")
        digest = response.header(_DIGEST_HEADER)
        return digest if response.status == HTTPStatus.OK and is_digest(digest) else ""

    async def get_manifest(self, tag_or_digest: str) -> RawManifest:
        """Fetch a manifest or an index.

        Raises:
            LookupFailed: it does not exist, or does not match the digest.

        """
        response = await self._send("GET", f"manifests/{tag_or_digest}", _ACCEPT)
        self._check(response, f"{self._reference.repository} {tag_or_digest}")
        expected = next(filter(is_digest, (tag_or_digest, response.header(_DIGEST_HEADER))), "")
        digest = _digest(response.body, expected.partition(":")[0] or "sha256")
        if expected and digest != expected:
            raise self._mismatch(expected)
        return RawManifest(response.body, response.header("content-type"), digest)

    async def get_blob(self, digest: str) -> bytes:
        """Fetch a blob by its digest.

        Raises:
            LookupFailed: it does not exist, or does not match the digest.

        """
        response = await self._send("GET", f"blobs/{digest}", "*/*")
        self._check(response, f"the blob {digest} of {self._reference.repository}")
        if _digest(response.body, digest.partition(":")[0]) != digest:
            raise self._mismatch(digest)
        return response.body

    async def _send(self, method: str, path: str, accept: str) -> Response:
        url = self._base_url.join(f"{self._reference.repository}/{path}")

        async def send() -> Response:
            headers = {"Accept": accept, **self._authenticator.headers}
            return await self._client.send(Request(method, url, headers, max_bytes=MAX_BYTES))

        response = await send()
        if response.status == HTTPStatus.UNAUTHORIZED and await self._authenticator.authenticate(response):
            return await send()
        return response

    def _check(self, response: Response, resource: str) -> None:
        check_status(response, self._base_url, resource, has_credential=self._has_credential)

    def _mismatch(self, digest: str) -> LookupFailed:
        detail = f"{authority(self._base_url)} returned content that does not match {digest}"
        return LookupFailed(Reason.IMAGE_INVALID, detail)


def _digest(body: bytes, algorithm: str) -> str:
    # Only supported algorithms: see is_digest.
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"
