"""Authentication at a registry: its challenges, and the token server that issues the Authorization header.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec
from httpx2 import URL, InvalidURL

from webhook.core.reasons import Reason
from webhook.images.credentials import Credential
from webhook.images.egress import authority
from webhook.images.errors import LookupFailed
from webhook.images.http import AUTHORIZATION, CHALLENGE, Request, Response, check_status
from webhook.images.retry import RetryingClient

CLIENT_ID = "graceful-worker"
_MAX_TOKEN_BYTES = 64 * 1024
_MAX_ATTEMPTS = 2
"""Once, and once more if the token expires."""

# https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:({_WORD})|"((?:[^"\\]|\\.)*)")[ \t]*(?=,|$)')
_SCHEME = re.compile(rf"({_WORD})(?:[ \t]+|(?=,|$))")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)")
_SEPARATOR = re.compile(r"[ \t]*,[, \t]*|[ \t]+")
_ESCAPE = re.compile(r"\\(.)")
_VISIBLE = re.compile(r"[!-~]+")


class Authenticator:
    """Answers a registry's challenges, with one credential or anonymously."""

    def __init__(self, client: RetryingClient, base_url: URL, repository: str, credential: Credential | None) -> None:
        self._client = client
        self._base_url = base_url
        self._scope = f"repository:{repository}:pull"
        self._credential = credential
        self._attempts_left = _MAX_ATTEMPTS
        self.headers: Mapping[str, str] = {}
        """Headers for the registry, and for no other host."""

    async def authenticate(self, response: Response) -> bool:
        """Answer the challenges of a 401; tell whether to retry.

        Raises:
            LookupFailed: the token server returns no token.

        """
        if not self._attempts_left:
            return False
        self._attempts_left -= 1
        previous, self.headers = self.headers, {}
        authorization = await self._authorization(parse_challenges(response.header_values(CHALLENGE)))
        if authorization:
            self.headers = {AUTHORIZATION: authorization}
        return bool(authorization) and self.headers != previous

    async def _authorization(self, challenges: Sequence[Challenge]) -> str:
        credential = self._credential
        for challenge in challenges:
            if challenge.scheme == "bearer" and credential and credential.registry_token:
                return f"Bearer {credential.registry_token}"
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                return f"Bearer {await self._fetch_token(challenge.parameters)}"
        for challenge in challenges:
            if challenge.scheme == "basic" and credential and credential.username:
                return f"Basic {credential.basic}"
        return ""

    async def _fetch_token(self, parameters: Mapping[str, str]) -> str:
        realm = self._parse_realm(parameters["realm"])
        query = {name: parameters[name] for name in ("service",) if parameters.get(name)}
        query["scope"] = parameters.get("scope") or self._scope
        response = await self._client.send(self._token_request(realm, query))
        check_status(response, realm, "a token", has_credential=self._credential is not None)
        token = _parse_token(response.body)
        if not token:
            raise LookupFailed(Reason.REGISTRY_FAILED, f"{authority(realm)} returned no readable token")
        return token

    def _token_request(self, realm: URL, query: Mapping[str, str]) -> Request:
        credential = self._credential
        if credential and credential.identity_token:
            # https://distribution.github.io/distribution/spec/auth/oauth/
            grant = {"grant_type": "refresh_token", "refresh_token": credential.identity_token, "client_id": CLIENT_ID}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return Request("POST", realm, headers, urlencode({**query, **grant}).encode(), _MAX_TOKEN_BYTES)
        headers = {AUTHORIZATION: f"Basic {credential.basic}"} if credential and credential.username else {}
        return Request("GET", realm.copy_merge_params(query), headers, max_bytes=_MAX_TOKEN_BYTES)

    def _parse_realm(self, text: str) -> URL:
        """Return the URL of a registry's token server; it must use TLS unless the registry itself does not.

        Raises:
            LookupFailed: there is none, or it does not use TLS.

        """
        try:
            realm = URL(text)
        except InvalidURL:
            realm = URL("")
        if realm.scheme == "https" or (realm.scheme == "http" == self._base_url.scheme):
            return realm
        raise LookupFailed(Reason.REGISTRY_FAILED, f"{authority(self._base_url)} names no token server with TLS")


@dataclass(frozen=True, slots=True)
class Challenge:
    """An authentication challenge; scheme and parameter names are lower case."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Parse the challenges in WWW-Authenticate headers; anything after a syntax error is ignored."""
    return [challenge for header in headers for challenge in _parse_header(header)]


def _parse_header(header: str) -> Iterator[Challenge]:
    challenge: Challenge | None = None
    position = 0
    while position < len(header):
        if separator := _SEPARATOR.match(header, position):
            position = separator.end()
        elif challenge and (parameter := _PARAMETER.match(header, position)):
            name, token, text = parameter.groups()
            challenge.parameters.setdefault(name.lower(), token if text is None else _ESCAPE.sub(r"\1", text))
            position = parameter.end()
        elif scheme := _SCHEME.match(header, position):
            if challenge:
                yield challenge
            challenge = Challenge(scheme[1].lower(), {})
            position = scheme.end()
            if not _PARAMETER.match(header, position) and (token68 := _TOKEN68.match(header, position)):
                position = token68.end()
        else:
            break
    if challenge:
        yield challenge


class _TokenResponse(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None


def _parse_token(body: bytes) -> str:
    """Return the token in a token server's response; empty if there is no valid one.

    https://distribution.github.io/distribution/spec/auth/token/#token-response-fields
    """
    try:
        response = msgspec.json.decode(body, type=_TokenResponse)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    token = response.token or response.access_token or ""
    return token if _VISIBLE.fullmatch(token) else ""
