"""Authentication at a registry: the Authorization header, and the token server that issues it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from httpx2 import URL, InvalidURL

from webhook.core.reasons import Reason
from webhook.images.challenge import Challenge, read_challenges, read_token
from webhook.images.credentials import Credential
from webhook.images.egress import authority
from webhook.images.errors import LookupFailed
from webhook.images.patience import Patience
from webhook.images.statuses import check_status
from webhook.images.transfers import AUTHORIZATION, Answer, Question

CLIENT = "graceful-worker"
_TOKEN_LIMIT = 64 * 1024
_MOST_TIMES = 2
"""Once, and once more if the token expires."""


class Access:
    """Answers a registry's challenges, with one credential or anonymously.

    https://distribution.github.io/distribution/spec/auth/token/
    """

    def __init__(self, patience: Patience, base: URL, repository: str, credential: Credential | None) -> None:
        self._patience = patience
        self._base = base
        self._scope = f"repository:{repository}:pull"
        self._credential = credential
        self._times_left = _MOST_TIMES
        self.headers: Mapping[str, str] = {}
        """Headers for the registry, and for no other host."""

    async def renew(self, answer: Answer) -> bool:
        """Answer the challenges of a 401; tell whether to retry.

        Raises:
            LookupFailed: the token server returns no token.

        """
        if not self._times_left:
            return False
        self._times_left -= 1
        challenges = read_challenges(answer.all("www-authenticate"))
        before, self.headers = self.headers, {}
        authorization = await self._answer(challenges)
        if authorization:
            self.headers = {AUTHORIZATION: authorization}
        return bool(authorization) and self.headers != before

    async def _answer(self, challenges: Sequence[Challenge]) -> str:
        credential = self._credential
        for challenge in challenges:
            if challenge.scheme == "bearer" and credential and credential.registry_token:
                return f"Bearer {credential.registry_token}"
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                return f"Bearer {await self._token(challenge.parameters)}"
        for challenge in challenges:
            if challenge.scheme == "basic" and credential and credential.username:
                return f"Basic {credential.basic}"
        return ""

    async def _token(self, parameters: Mapping[str, str]) -> str:
        realm = self._realm(parameters["realm"])
        asked = {name: parameters[name] for name in ("service",) if parameters.get(name)}
        asked["scope"] = parameters.get("scope") or self._scope
        answer = await self._patience.ask(self._question(realm, asked))
        check_status(answer, realm, self._credential, "a token")
        token = read_token(answer.body)
        if not token:
            raise LookupFailed(Reason.REGISTRY_FAILED, f"{authority(realm)} returned no readable token")
        return token

    def _question(self, realm: URL, asked: Mapping[str, str]) -> Question:
        credential = self._credential
        if credential and credential.identity_token:
            # https://distribution.github.io/distribution/spec/auth/oauth/
            granted = {"grant_type": "refresh_token", "refresh_token": credential.identity_token, "client_id": CLIENT}
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            return Question("POST", realm, form, urlencode({**asked, **granted}).encode(), _TOKEN_LIMIT)
        headers = {AUTHORIZATION: f"Basic {credential.basic}"} if credential and credential.username else {}
        return Question("GET", realm.copy_merge_params(asked), headers, limit=_TOKEN_LIMIT)

    def _realm(self, text: str) -> URL:
        """Return the URL of a registry's token server; it must use TLS unless the registry itself does not.

        Raises:
            LookupFailed: there is none, or it does not use TLS.

        """
        try:
            realm = URL(text)
        except InvalidURL:
            realm = URL("")
        if realm.scheme == "https" or (realm.scheme == "http" == self._base.scheme):
            return realm
        raise LookupFailed(Reason.REGISTRY_FAILED, f"{authority(self._base)} names no token server with TLS")
