"""Parses OCI and Docker documents: index, manifest, image configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from webhook.core.reasons import Reason
from webhook.images.errors import LookupFailed, printable

# https://github.com/opencontainers/image-spec/blob/v1.1.0/media-types.md
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CONFIG_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    # Written by old versions of Docker: https://github.com/distribution/distribution/issues/1621
    "application/octet-stream",
)
_OLD_TYPES = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)

LONGEST_COMMAND = 32 * 1024
"""Maximum length of an image's command, in characters: it is cached, and may be added to the pod."""
_LONGEST_SIGNAL = 64

# Container runtimes are written in Go, which reads null as the zero value of any field.
# https://pkg.go.dev/encoding/json#Unmarshal
Text: TypeAlias = str | None


class DescriptorPlatform(msgspec.Struct, frozen=True):
    """The platform of a manifest in an index."""

    architecture: Text = None
    os: Text = None
    variant: Text = None


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """A reference to a document, by digest."""

    digest: Text = None
    media_type: Text = None
    platform: DescriptorPlatform | None = None
    annotations: Mapping[str, Text] | None = None


class Manifest(msgspec.Struct, frozen=True):
    """The parts of an image; of its layers, only the number matters."""

    config: Descriptor
    layers: Sequence[Descriptor | None]
    annotations: Mapping[str, Text]


class Index(msgspec.Struct, frozen=True):
    """The variants of an image."""

    manifests: Sequence[Descriptor]


class _Document(msgspec.Struct, rename="camel"):
    """A manifest or an index, before it is known which."""

    schema_version: int | None = None
    media_type: Text = None
    manifests: Sequence[Descriptor | None] | None = None
    config: Descriptor | None = None
    layers: Sequence[Descriptor | None] | None = None
    annotations: Mapping[str, Text] | None = None
    fs_layers: Any = None


class Process(msgspec.Struct, frozen=True, rename="pascal"):
    """The runtime configuration of containers."""

    entrypoint: Sequence[Text] | None = None
    cmd: Sequence[Text] | None = None
    stop_signal: Text = None
    exposed_ports: Mapping[str, Any] | None = None
    env: Sequence[Text] | None = None
    labels: Mapping[str, Text] | None = None


class Step(msgspec.Struct, frozen=True):
    """A build step of an image."""

    created_by: Text = None


class Config(msgspec.Struct, frozen=True):
    """An image's configuration."""

    config: Process | None = None
    history: Sequence[Step | None] | None = None

    @property
    def process(self) -> Process:
        """An image's configuration; the runtime part is optional."""
        return self.config or Process()


_DOCUMENT = msgspec.json.Decoder(_Document)
_CONFIG = msgspec.json.Decoder(Config)
_Read = TypeVar("_Read")

# Go matches keys in any case; the last of several keys that differ only in case wins. No two fields here do, so keys
# are unambiguous.
_STRUCTS = (_Document, Descriptor, DescriptorPlatform, Config, Process, Step)
_FIELDS = {name.lower(): name for struct in _STRUCTS for name in struct.__struct_encode_fields__}
_KEY = re.compile(rf'"({"|".join(_FIELDS)})"(?=\s*:)', re.IGNORECASE)


def read_manifest(body: bytes, content_type: str) -> Manifest | Index:
    """Parse a manifest or an index; `content_type` is the registry's Content-Type.

    Raises:
        LookupFailed: it is neither, or not of an image.

    """
    document = _decode(_DOCUMENT, body, "manifest")
    media_type = document.media_type or content_type.partition(";")[0].strip().lower()
    if document.schema_version == 1 or document.fs_layers is not None or media_type in _OLD_TYPES:
        raise _invalid("its manifest has schema 1, which is no longer supported; push it again")
    is_index, is_manifest = document.manifests is not None, (document.config or document.layers) is not None
    if is_index is is_manifest or media_type in (MANIFEST_TYPES if is_index else INDEX_TYPES):
        # Clients disagree on ambiguous documents.
        # https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh
        raise _invalid("its manifest is neither a manifest nor an index" if not is_index else "its index is ambiguous")
    if document.manifests is not None:
        return Index([entry or Descriptor() for entry in document.manifests])
    return _read_image(document)


def _read_image(document: _Document) -> Manifest:
    if document.config is None or document.layers is None:
        raise _invalid("its manifest has no configuration or no layers")
    media_type = document.config.media_type or ""
    if media_type not in _CONFIG_TYPES:
        raise _invalid(f"it is an artifact, not an image: its configuration is {printable(media_type)}")
    return Manifest(document.config, document.layers, document.annotations or {})


def read_config(body: bytes) -> Config:
    """Parse an image's configuration.

    Raises:
        LookupFailed: it is not valid.

    """
    config = _decode(_CONFIG, body, "configuration")
    process = config.process
    # Even an empty word takes memory.
    if sum(len(word) + 1 for word in (*texts(process.entrypoint), *texts(process.cmd))) > LONGEST_COMMAND:
        raise _invalid(f"its command is longer than {LONGEST_COMMAND // 1024} KiB")
    if len(process.stop_signal or "") > _LONGEST_SIGNAL:
        raise _invalid("its stop signal is not valid")
    return config


def texts(words: Iterable[Text] | None) -> tuple[str, ...]:
    """Return texts as Go reads them."""
    return tuple([word or "" for word in words or ()])


def _decode(decoder: msgspec.json.Decoder[_Read], body: bytes, what: str) -> _Read:
    try:
        # Invalid UTF-8 is replaced, as in Go.
        return decoder.decode(_KEY.sub(_as_named_here, body.decode(errors="replace")))
    except msgspec.MsgspecError as error:
        raise _invalid(f"its {what} cannot be read: {printable(str(error))}") from None
    except RecursionError:
        raise _invalid(f"its {what} is nested too deeply") from None


def _as_named_here(key: re.Match[str]) -> str:
    return f'"{_FIELDS[key[1].casefold()]}"'


def _invalid(detail: str) -> LookupFailed:
    return LookupFailed(Reason.IMAGE_INVALID, detail)
