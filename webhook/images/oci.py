"""Parses OCI and Docker documents: index, manifest, image configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from webhook.core.json_size import has_more_values
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
_SCHEMA_1_TYPES = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)

MAX_COMMAND_LENGTH = 32 * 1024
"""Maximum length of an image's command, in characters: it is cached, and may be added to the pod."""
_MAX_SIGNAL_LENGTH = 64
_MAX_VALUES = 50_000
"""Maximum number of strings, and of other values, in a document: 4 MiB may have a million, and take 200 MB decoded."""

# Container runtimes are written in Go, which reads null as the zero value of any field.
# https://pkg.go.dev/encoding/json#Unmarshal
NullableStr: TypeAlias = str | None


class DescriptorPlatform(msgspec.Struct, frozen=True):
    """The platform of a manifest in an index."""

    architecture: NullableStr = None
    os: NullableStr = None
    variant: NullableStr = None


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """A reference to a document, by digest."""

    digest: NullableStr = None
    media_type: NullableStr = None
    platform: DescriptorPlatform | None = None
    annotations: Mapping[str, NullableStr] | None = None


class Manifest(msgspec.Struct, frozen=True):
    """The parts of an image; of its layers, only the number matters."""

    config: Descriptor
    layers: Sequence[Descriptor | None]
    annotations: Mapping[str, NullableStr]


class Index(msgspec.Struct, frozen=True):
    """The variants of an image."""

    manifests: Sequence[Descriptor]


class _ManifestOrIndex(msgspec.Struct, rename="camel"):
    """A manifest or an index, before it is known which."""

    schema_version: int | None = None
    media_type: NullableStr = None
    manifests: Sequence[Descriptor | None] | None = None
    config: Descriptor | None = None
    layers: Sequence[Descriptor | None] | None = None
    annotations: Mapping[str, NullableStr] | None = None
    fs_layers: Any = None


class ExecutionConfig(msgspec.Struct, frozen=True, rename="pascal"):
    """The execution parameters of containers."""

    entrypoint: Sequence[NullableStr] | None = None
    cmd: Sequence[NullableStr] | None = None
    stop_signal: NullableStr = None
    exposed_ports: Mapping[str, Any] | None = None
    env: Sequence[NullableStr] | None = None
    labels: Mapping[str, NullableStr] | None = None


class HistoryEntry(msgspec.Struct, frozen=True):
    """A build step."""

    created_by: NullableStr = None


class ImageConfig(msgspec.Struct, frozen=True):
    """An image's configuration."""

    config: ExecutionConfig | None = None
    history: Sequence[HistoryEntry | None] | None = None

    @property
    def execution(self) -> ExecutionConfig:
        """The execution parameters; they are optional."""
        return self.config or ExecutionConfig()


_DOCUMENT = msgspec.json.Decoder(_ManifestOrIndex)
_CONFIG = msgspec.json.Decoder(ImageConfig)
_Decoded = TypeVar("_Decoded")

# Go matches keys in any case; the last of several keys that differ only in case wins. No two fields here do, so keys
# are unambiguous.
_STRUCTS = (_ManifestOrIndex, Descriptor, DescriptorPlatform, ImageConfig, ExecutionConfig, HistoryEntry)
_FIELDS = {name.lower(): name for struct in _STRUCTS for name in struct.__struct_encode_fields__}
_KEY = re.compile(rf'"({"|".join(_FIELDS)})"(?=\s*:)', re.IGNORECASE)


def parse_manifest(body: bytes, content_type: str) -> Manifest | Index:
    """Parse a manifest or an index; `content_type` is the registry's Content-Type.

    Raises:
        LookupFailed: it is neither, or not of an image.

    """
    document = _decode(_DOCUMENT, body, "manifest")
    media_type = document.media_type or content_type.partition(";")[0].strip().lower()
    if document.schema_version == 1 or document.fs_layers is not None or media_type in _SCHEMA_1_TYPES:
        raise _invalid("its manifest has schema 1, which is no longer supported; push it again")
    is_index, is_manifest = document.manifests is not None, (document.config or document.layers) is not None
    if is_index is is_manifest or media_type in (MANIFEST_TYPES if is_index else INDEX_TYPES):
        # Clients disagree on ambiguous documents.
        # https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh
        raise _invalid("its manifest is neither a manifest nor an index" if not is_index else "its index is ambiguous")
    if document.manifests is not None:
        return Index([entry or Descriptor() for entry in document.manifests])
    if document.config is None or document.layers is None:
        raise _invalid("its manifest has no configuration or no layers")
    config_type = document.config.media_type or ""
    if config_type not in _CONFIG_TYPES:
        raise _invalid(f"it is an artifact, not an image: its configuration is {printable(config_type)}")
    return Manifest(document.config, document.layers, document.annotations or {})


def parse_config(body: bytes) -> ImageConfig:
    """Parse an image's configuration.

    Raises:
        LookupFailed: it is not valid.

    """
    config = _decode(_CONFIG, body, "configuration")
    execution = config.execution
    # Even an empty word takes memory.
    command = (*as_strings(execution.entrypoint), *as_strings(execution.cmd))
    if sum(len(word) + 1 for word in command) > MAX_COMMAND_LENGTH:
        raise _invalid(f"its command is longer than {MAX_COMMAND_LENGTH // 1024} KiB")
    if len(execution.stop_signal or "") > _MAX_SIGNAL_LENGTH:
        raise _invalid("its stop signal is not valid")
    return config


def as_strings(words: Iterable[NullableStr] | None) -> tuple[str, ...]:
    """Return strings as Go reads them."""
    return tuple([word or "" for word in words or ()])


def _decode(decoder: msgspec.json.Decoder[_Decoded], body: bytes, kind: str) -> _Decoded:
    if has_more_values(body, _MAX_VALUES):
        raise _invalid(f"its {kind} has more than {_MAX_VALUES} values")
    try:
        # Invalid UTF-8 is replaced, as in Go.
        text = body.decode(errors="replace")
        return decoder.decode(_KEY.sub(lambda key: f'"{_FIELDS[key[1].casefold()]}"', text))
    except msgspec.MsgspecError as error:
        raise _invalid(f"its {kind} cannot be read: {printable(str(error))}") from None
    except RecursionError:
        raise _invalid(f"its {kind} is nested too deeply") from None


def _invalid(detail: str) -> LookupFailed:
    return LookupFailed(Reason.IMAGE_INVALID, detail)
