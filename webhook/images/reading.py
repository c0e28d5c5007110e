"""Reads an image from a registry: through indexes to the manifest and the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from webhook.core.images import Image
from webhook.core.reasons import Reason
from webhook.images.errors import LookupFailed, printable
from webhook.images.oci import Descriptor, Index, Manifest, NullableStr, as_strings, parse_config, parse_manifest
from webhook.images.options import Platform
from webhook.images.platform import choose_manifest
from webhook.images.reference import Reference, is_digest
from webhook.images.registry import RawManifest, RegistryClient
from webhook.images.shell_less import shell_less_reason

_MOST_INDEXES = 2
_DIGITS = len("sha256:") + 12


async def read_image(
    registry: RegistryClient, document: RawManifest, reference: Reference, platform: Platform
) -> Image:
    """Return what the image for a platform runs, starting at the document that a name refers to.

    Raises:
        LookupFailed: the image cannot be read.

    """
    digest = document.digest
    found = parse_manifest(document.body, document.content_type)
    annotations: Mapping[str, NullableStr] = {}
    for _ in range(_MOST_INDEXES):
        if isinstance(found, Manifest):
            break
        entry = choose_manifest(found.manifests, platform)
        annotations = entry.annotations or {}
        document = await registry.get_manifest(_verifiable(entry))
        found = parse_manifest(document.body, document.content_type)
    if isinstance(found, Index):
        raise LookupFailed(Reason.IMAGE_INVALID, "its indexes are nested too deeply")
    config = parse_config(await registry.get_blob(_verifiable(found.config)))
    execution = config.execution
    return Image(
        as_strings(execution.entrypoint),
        as_strings(execution.cmd),
        execution.stop_signal or "",
        shell_less_reason(found, config, annotations),
        bool(execution.exposed_ports),
        f"{reference.name}@{digest[:_DIGITS]}…",
    )


def _verifiable(descriptor: Descriptor) -> str:
    digest = descriptor.digest or ""
    if not is_digest(digest):
        raise LookupFailed(Reason.IMAGE_INVALID, f"{printable(digest) or 'nothing'} is not a verifiable digest")
    return digest
