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
from webhook.core.image_config import TROUBLES, Image, Unavailable
from webhook.core.pod import Pod
from webhook.core.reasons import Reason
from webhook.images.cache import ANONYMOUS, ImageCache, ImageQuery
from webhook.images.credentials import Credential, Keyring, UnionKeyring
from webhook.images.dns import NAMESPACE
from webhook.images.docker_config import CredentialsFile
from webhook.images.egress import EgressPolicy
from webhook.images.errors import InvalidReference, LookupFailed, printable
from webhook.images.http import HttpClient
from webhook.images.options import LookupOptions, Platform
from webhook.images.platform import pod_platform
from webhook.images.pull_secrets import PullSecrets
from webhook.images.reference import Reference, parse_reference
from webhook.images.resolve import ImageResolver
from webhook.images.single_flight import QUEUED, Result, SingleFlight, Task

MAX_IMAGES = 10
"""Per pod, so that one pod cannot trigger requests to hundreds of registries."""
MAX_SECONDS = 30.0
"""How long a lookup may continue after its waiters gave up: later pods then find the result."""
_MAX_CREDENTIALS = 5
_TOO_MANY_IMAGES = Unavailable(
    Reason.IMAGE_LIMIT,
    f"at most {MAX_IMAGES} images per pod are looked up; name the workers in annotation {annotation_of('containers')}",
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
        self._default_platform = options.platform
        self._secrets = secrets
        file = options.credentials_file
        self._keyrings = [credentials or Keyring(), *([CredentialsFile(file)] if file else [])]
        egress = EgressPolicy(options)
        self._client = HttpClient(egress, options.ca_file)
        self._cache = ImageCache(clock, options)
        self._resolver = ImageResolver(self._client, egress, self._cache)
        self._identity_key = token_bytes(32)
        self._single_flight = SingleFlight()
        self._timed_out: WeakSet[Task] = WeakSet()
        """Lookups that a pod has waited for until its timeout."""
        self._is_closed = False

    async def find(self, pod: Pod, names: Sequence[str], namespace: str, seconds: float) -> dict[str, Result]:
        """Return what the images of some containers run, or why the lookup failed, within some seconds.

        Slower lookups continue without the pod that started them.
        """
        platform = pod_platform(pod, self._default_platform)
        results: dict[str, Result] = {}
        unknown: dict[str, Reference] = {}
        references: set[Reference] = set()
        for name in names:
            try:
                reference = parse_reference(pod.images.get(name, ""))
            except InvalidReference as invalid:
                results[name] = Unavailable(Reason.IMAGE_NAME_INVALID, str(invalid))
                continue
            # Cached ones count, too, so that similar pods get the same result.
            if len(references) == MAX_IMAGES and reference not in references:
                results[name] = _TOO_MANY_IMAGES
                continue
            references.add(reference)
            # For public images, credentials need not even be read.
            if cached := self._cache.get(reference, platform, ANONYMOUS):
                results[name] = cached
            else:
                unknown[name] = reference
        if unknown:
            results |= await self._find_in_registries(pod, unknown, platform, namespace, seconds)
        return results

    async def _find_in_registries(
        self, pod: Pod, references: Mapping[str, Reference], platform: Platform, namespace: str, seconds: float
    ) -> dict[str, Result]:
        deadline = asyncio.get_running_loop().time() + seconds
        queries = {name: ImageQuery(reference, platform) for name, reference in references.items()}
        try:
            async with asyncio.timeout_at(deadline):
                keyring = await self._keyring(pod, namespace)
                queries = {name: await self._with_credentials(query, keyring) for name, query in queries.items()}
        except TimeoutError:
            late = Unavailable(Reason.REGISTRY_TOO_SLOW, "its credentials were not found in time")
            return {name: self._or_stale(late, query) for name, query in queries.items()}
        except Exception as error:
            # An error in reading credentials must not fail the pod's review.
            defect = Unavailable(Reason.REGISTRY_FAILED, f"its credentials cannot be read: {type(error).__name__}")
            return {name: self._or_stale(defect, query) for name, query in queries.items()}
        lookups = {name: self._cached_or_task(query, namespace, deadline) for name, query in queries.items()}
        tasks = [lookup for lookup in lookups.values() if isinstance(lookup, asyncio.Task)]
        if tasks:
            # Not gather(): that would cancel lookups that others wait for.
            await asyncio.wait(tasks, timeout=max(deadline - asyncio.get_running_loop().time(), 0))
        return {name: self._or_stale(self._result(lookups[name], query), query) for name, query in queries.items()}

    async def _with_credentials(self, query: ImageQuery, keyring: Keyring) -> ImageQuery:
        credentials = tuple(await keyring.find(query.reference))[:_MAX_CREDENTIALS]
        identities = tuple(map(self._identity, credentials))
        return ImageQuery(query.reference, query.platform, credentials, identities)

    def _identity(self, credential: Credential) -> str:
        """Distinguish credentials without storing them: by a hash whose key lives as long as the process."""
        return blake2b(repr(astuple(credential)).encode(), key=self._identity_key, digest_size=16).hexdigest()

    def _result(self, lookup: Result | Task, query: ImageQuery) -> Result:
        if not isinstance(lookup, asyncio.Task):
            return lookup
        # A lookup is only cancelled at shutdown.
        if lookup.done() and not lookup.cancelled():
            return lookup.result()
        if self._single_flight.is_queued(lookup):
            return QUEUED
        self._timed_out.add(lookup)
        return _too_slow(query.reference)

    def _or_stale(self, result: Result, query: ImageQuery) -> Result:
        if isinstance(result, Image) or result.reason not in TROUBLES:
            return result
        stale = self._cache.find_stale(query)
        return replace(stale, stale=str(result)) if stale else result

    async def _keyring(self, pod: Pod, namespace: str) -> Keyring:
        if self._secrets is None:
            return UnionKeyring(self._keyrings)
        names = [reference.name for reference in pod.spec.pull_secrets or () if reference.name]
        of_pod = await self._secrets.keyring(namespace, pod.spec.service_account or "", names)
        return UnionKeyring([of_pod, *self._keyrings])

    def _cached_or_task(self, query: ImageQuery, namespace: str, deadline: float) -> Result | Task:
        """Return the cached result, or the lookup in progress."""
        cached = self._cache.find(query)
        if cached or self._is_closed:
            return cached or _too_slow(query.reference)
        resolve = partial(self._resolve, query, namespace, deadline)
        task = self._single_flight.join(query.key, namespace, query.reference.host, resolve)
        # If there is a stale result, only one pod has to wait in vain.
        is_vain = task in self._timed_out and self._cache.find_stale(query)
        return _too_slow(query.reference) if is_vain else task

    async def _resolve(self, query: ImageQuery, namespace: str, deadline: float) -> Result:
        NAMESPACE.set(namespace)
        # While it was queued, another lookup may have found it.
        if cached := self._cache.find(query):
            return cached
        try:
            async with asyncio.timeout(MAX_SECONDS):
                return await self._resolver.resolve(query, deadline)
        except LookupFailed as failed:
            unavailable, cache_seconds = failed.unavailable, failed.cache_seconds
        except TimeoutError:
            unavailable, cache_seconds = _too_slow(query.reference), None
        except Exception as error:
            # Waiters must get a result, and later pods must not wait for this lookup.
            detail = f"internal error of graceful-worker: {type(error).__name__}"
            unavailable, cache_seconds = Unavailable(Reason.REGISTRY_FAILED, detail), None
        self._cache.put_failure(query.key, unavailable, cache_seconds)
        return unavailable

    async def aclose(self) -> None:
        """Cancel pending lookups, and close all connections."""
        self._is_closed = True
        await self._single_flight.aclose()
        await self._client.aclose()
        if self._secrets is not None:
            await self._secrets.aclose()


def _too_slow(reference: Reference) -> Unavailable:
    detail = f"{printable(reference.host)} did not return {printable(reference.repository)} in time"
    return Unavailable(Reason.REGISTRY_TOO_SLOW, detail)
