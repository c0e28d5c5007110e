"""Builds OCI images: their manifests and configurations as a registry stores them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

OCI = {
    "index": "application/vnd.oci.image.index.v1+json",
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
}
DOCKER = {
    "index": "application/vnd.docker.distribution.manifest.list.v2+json",
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
Types = dict[str, str]


@dataclass(frozen=True)
class Blob:
    """A manifest, a configuration or a layer."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content), **more}


@dataclass(frozen=True)
class OciImage:
    """An image or an index: its manifest, and everything that the manifest refers to."""

    manifest: Blob
    blobs: tuple[Blob, ...] = ()
    parts: tuple[OciImage, ...] = field(default=())

    @property
    def digest(self) -> str:
        return self.manifest.digest


def as_json(media_type: str, document: Any) -> Blob:
    return Blob(media_type, json.dumps(document).encode())


def build_image(
    process: dict[str, Any] | None = None,
    types: Types = OCI,
    layers: Sequence[bytes] = (b"a layer",),
    history: Sequence[str] = (),
    annotations: dict[str, str] | None = None,
    config_type: str = "",
) -> OciImage:
    """Build an image; `process` is the `config` object of its configuration."""
    document = {
        "os": "linux",
        "architecture": "amd64",
        "config": process or {},
        "history": [{"created_by": step} for step in history],
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    config = as_json(config_type or types["config"], document)
    blobs = [Blob(types["layer"], layer) for layer in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": types["manifest"],
        "config": config.descriptor(),
        "layers": [blob.descriptor() for blob in blobs],
        **({"annotations": annotations} if annotations else {}),
    }
    return OciImage(as_json(types["manifest"], manifest), (config, *blobs))


def platform(text: str) -> dict[str, str]:
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))


def build_index(
    variants: dict[str, OciImage], types: Types = OCI, annotations: dict[str, str] | None = None
) -> OciImage:
    """Build an index from images by platform; an empty string is an entry without a platform."""
    entries = [
        built.manifest.descriptor(
            **({"platform": platform(name)} if name else {}),
            **({"annotations": annotations} if annotations else {}),
        )
        for name, built in variants.items()
    ]
    document = {"schemaVersion": 2, "mediaType": types["index"], "manifests": entries}
    return OciImage(as_json(types["index"], document), parts=tuple(variants.values()))
