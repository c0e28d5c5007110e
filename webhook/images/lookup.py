"""Looks up a pod's images in registries: once for many pods, and within the time available."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from functools import partial
from hashlib import blake2b
from secrets import token_bytes
from weakref import WeakSet

from msgspec.structs import replace

from webhook.core.annotations import annotation_of
from webhook.core.images import TROUBLES, Image, Unavailable
from webhook.core.pod import Pod
from webhook.core.reasons import Reason
from webhook.images.cache import NOBODY, Cache
from webhook.images.credentials import Credential, CredentialsFile, Keyring, Keyrings
from webhook.images.dns import NAMESPACE
from webhook.images.egress import EgressPolicy
from webhook.images.errors import InvalidReference, LookupFailed, printable
from webhook.images.http import HttpClient
from webhook.images.inquiry import Inquiry, Wanted
from webhook.images.options import LookupOptions, Platform
from webhook.images.platform import pod_platform
from webhook.images.pull_secrets import PullSecrets
from webhook.images.reference import Reference, read_reference
from webhook.images.single_flight import QUEUED, SingleFlight, Task

MOST_IMAGES = 10
"""Per pod, so that one pod cannot trigger requests to hundreds of registries."""
MOST_SECONDS = 30.0
"""How long a lookup may continue after its waiters gave up: later pods then find the result."""
_MOST_CREDENTIALS = 5


_TOO_MANY = Unavailable(
    Reason.IMAGE_LIMIT,
    f"at most {MOST_IMAGES} images per pod are looked up; name the workers in annotation {annotation_of('containers')}",
)


class ImageLookup:
    """Looks up images, and caches the results."""

    def __init__(
        self,
        options: LookupOptions,
        secrets: PullSecrets | None = None,
        clock: Callable[[], float] = time.monotonic,
        credentials: Keyring | None = None,
    ) -> None:
        """Prepare; `secrets` are the pods' own credentials, `credentials` those of the operator or user.

        Raises:
            OSError: the CA file cannot be read, or contains no CA.

        """
        self._default = options.platform
        self._secrets = secrets
        file = options.credentials_file
        self._keyrings = [credentials or Keyring(), *([CredentialsFile(file)] if file else [])]
        egress = EgressPolicy(options)
        self._client = HttpClient(egress, options.ca_file)
        self._cache = Cache(clock, options)
        self._inquiry = Inquiry(self._client, egress, self._cache)
        self._identities = _Identities()
        self._single_flight = SingleFlight()
        self._given_up: WeakSet[Task] = WeakSet()
        """Lookups that a pod has waited for until its timeout."""
        self._is_closed = False

    async def find(
        self, pod: Pod, names: Sequence[str], namespace: str, seconds: float
    ) -> dict[str, Image | Unavailable]:
        """Return what the images of some containers run, or why the lookup failed, within some seconds.

        Slower lookups continue without the pod that started them.
        """
        platform = pod_platform(pod, self._default)
        answers: dict[str, Image | Unavailable] = {}
        asked: dict[str, Reference] = {}
        wanted: set[Reference] = set()
        for name in names:
            try:
                reference = read_reference(pod.images.get(name, ""))
            except InvalidReference as invalid:
                answers[name] = Unavailable(Reason.IMAGE_NAME_INVALID, str(invalid))
                continue
            # Cached ones count, too, so that similar pods get the same result.
            if len(wanted) == MOST_IMAGES and reference not in wanted:
                answers[name] = _TOO_MANY
                continue
            wanted.add(reference)
            # For public images, credentials need not even be read.
            known = self._cache.image(reference, platform, NOBODY)
            if known:
                answers[name] = known
            else:
                asked[name] = reference
        return {**answers, **await self._ask(pod, asked, platform, namespace, seconds)} if asked else answers

    async def _ask(
        self, pod: Pod, asked: Mapping[str, Reference], platform: Platform, namespace: str, seconds: float
    ) -> dict[str, Image | Unavailable]:
        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(until):
                keyring = await self._keyring(pod, namespace)
                candidates = {name: await keyring.find(reference) for name, reference in asked.items()}
        except TimeoutError:
            late = Unavailable(Reason.REGISTRY_TOO_SLOW, "its credentials were not found in time")
            return {name: self._or_stale(late, Wanted(reference, platform)) for name, reference in asked.items()}
        except Exception as error:
            # An error in reading credentials must not fail the pod's review.
            defect = Unavailable(Reason.REGISTRY_FAILED, f"its credentials cannot be read: {type(error).__name__}")
            return {name: self._or_stale(defect, Wanted(reference, platform)) for name, reference in asked.items()}
        wanted = {name: self._wanted(asked[name], platform, found) for name, found in candidates.items()}
        flights = {name: self._look_up(one, namespace, until) for name, one in wanted.items()}
        under_way = [flight for flight in flights.values() if isinstance(flight, asyncio.Task)]
        if under_way:
            # Not gather(): that would cancel lookups that others wait for.
            await asyncio.wait(under_way, timeout=max(until - asyncio.get_running_loop().time(), 0))
        return {
            name: self._or_stale(self._landed(flight, wanted[name]), wanted[name]) for name, flight in flights.items()
        }

    def _wanted(self, reference: Reference, platform: Platform, candidates: Sequence[Credential]) -> Wanted:
        credentials = tuple(candidates[:_MOST_CREDENTIALS])
        return Wanted(reference, platform, credentials, tuple(map(self._identities.of, credentials)))

    def _landed(self, flight: Image | Unavailable | Task, wanted: Wanted) -> Image | Unavailable:
        if not isinstance(flight, asyncio.Task):
            return flight
        # A lookup is only cancelled at shutdown.
        if flight.done() and not flight.cancelled():
            return flight.result()
        if self._single_flight.is_queued(flight):
            return QUEUED
        self._given_up.add(flight)
        return _late(wanted.reference)

    def _or_stale(self, answer: Image | Unavailable, wanted: Wanted) -> Image | Unavailable:
        if isinstance(answer, Image) or answer.reason not in TROUBLES:
            return answer
        stale = self._inquiry.stale(wanted)
        return replace(stale, stale=str(answer)) if stale else answer

    async def _keyring(self, pod: Pod, namespace: str) -> Keyring:
        if self._secrets is None:
            return Keyrings(self._keyrings)
        names = [reference.name for reference in pod.spec.pull_secrets or () if reference.name]
        of_pod = await self._secrets.keyring(namespace, pod.spec.service_account or "", names)
        return Keyrings([of_pod, *self._keyrings])

    def _look_up(self, wanted: Wanted, namespace: str, until: float) -> Image | Unavailable | Task:
        """Return the cached result, or the lookup in progress."""
        known = self._inquiry.known(wanted)
        if known or self._is_closed:
            return known or _late(wanted.reference)
        fly = partial(self._fly, wanted, namespace, until)
        flight = self._single_flight.join(wanted.key, namespace, wanted.reference.host, fly)
        # If there is a stale result, only one pod has to wait in vain.
        is_vain = flight in self._given_up and self._inquiry.stale(wanted)
        return _late(wanted.reference) if is_vain else flight

    async def _fly(self, wanted: Wanted, namespace: str, until: float) -> Image | Unavailable:
        NAMESPACE.set(namespace)
        # While it was queued, another lookup may have found it.
        known = self._inquiry.known(wanted)
        if known:
            return known
        try:
            async with asyncio.timeout(MOST_SECONDS):
                return await self._inquiry.ask(wanted, until)
        except LookupFailed as failed:
            failure = failed
        except TimeoutError:
            failure = LookupFailed(Reason.REGISTRY_TOO_SLOW, _late(wanted.reference).detail)
        except Exception as error:
            # Waiters must get a result, and later pods must not wait for this lookup.
            failure = LookupFailed(Reason.REGISTRY_FAILED, f"internal error of graceful-worker: {type(error).__name__}")
        self._cache.put_failure(wanted.key, failure.unavailable, failure.cache_seconds)
        return failure.unavailable

    async def aclose(self) -> None:
        """Cancel pending lookups, and close all connections."""
        self._is_closed = True
        await self._single_flight.aclose()
        await self._client.aclose()
        if self._secrets is not None:
            await self._secrets.aclose()


class _Identities:
    """Distinguishes credentials without storing them: by a hash whose key lives as long as the process."""

    def __init__(self) -> None:
        self._key = token_bytes(32)

    def of(self, credential: Credential | None) -> str:
        """Return the identity of a credential; empty for anonymous requests."""
        if credential is None:
            return NOBODY
        return blake2b(repr(astuple(credential)).encode(), key=self._key, digest_size=16).hexdigest()


def _late(reference: Reference) -> Unavailable:
    detail = f"{printable(reference.host)} did not return {printable(reference.repository)} in time"
    return Unavailable(Reason.REGISTRY_TOO_SLOW, detail)
