"""Helpers that look up the images of pods."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webhook.core.image_config import Image, Unavailable
from webhook.core.pod import Pod, read_pod
from webhook.core.reasons import Reason
from webhook.images.credentials import Credential, Keyring
from webhook.images.lookup import ImageLookup
from webhook.images.options import LookupOptions

NAME = "worker"
NAMESPACE = "shop"


@dataclass
class FakeClock:
    """A clock that stands still until a test sets it."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class FakeSecrets:
    """Returns the keyring of an imagePullSecret by its name, and records the names that are read."""

    keyrings: Mapping[str, Keyring]
    read: list[str] = field(default_factory=list)

    async def keyring(self, namespace: str, service_account: str, names: Sequence[str]) -> Keyring:
        self.read.extend(names)
        return next((self.keyrings[name] for name in names), Keyring())

    async def aclose(self) -> None:
        pass


def keyring(host: str, username: str = "worker", password: str = "secret", **more: str) -> Keyring:
    return Keyring([(host, Credential(username, password, **more))])


def trust(ca_file: Path, **more: Any) -> LookupOptions:
    """Return options for registries on loopback that have a certificate of the tests' authority."""
    return LookupOptions(**{"local_hosts": ("*",), "ca_file": ca_file, **more})


@asynccontextmanager
async def open_lookup(options: LookupOptions, **more: Any) -> AsyncIterator[ImageLookup]:
    lookup = ImageLookup(options, **more)
    try:
        yield lookup
    finally:
        await lookup.aclose()


def pod_of(image: str, **spec: Any) -> Pod:
    return read_pod({"spec": {"containers": [{"name": NAME, "image": image}], **spec}})


async def look_up(
    lookup: ImageLookup, image: str, seconds: float = 8.0, namespace: str = NAMESPACE, **spec: Any
) -> Image | Unavailable:
    found = await lookup.find(pod_of(image, **spec), [NAME], namespace, seconds)
    return found[NAME]


def expect_image(result: Image | Unavailable) -> Image:
    assert isinstance(result, Image), result
    return result


def expect_unavailable(result: Image | Unavailable, reason: Reason) -> str:
    """Check the reason why an image is unavailable, and return the detail, which is short and on one line."""
    assert isinstance(result, Unavailable), result
    assert result.reason is reason, result
    assert result.detail.isprintable()
    assert 0 < len(result.detail) < 500
    return result.detail
