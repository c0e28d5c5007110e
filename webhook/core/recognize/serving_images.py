"""Recognises servers and helpers, which are not workers, by name; the table is serving_images.toml."""

from __future__ import annotations

import msgspec

from webhook.core.recognize.image_names import split_image_name
from webhook.core.tables import load_table


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Programs of one kind: suffixes of their image repositories, and their container names."""

    name: str
    images: tuple[str, ...]
    containers: tuple[str, ...]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table."""

    kind: tuple[Group, ...]


TABLE = load_table(__name__, "serving_images.toml", Table)
_IMAGES = frozenset(image for group in TABLE.kind for image in group.images)
_CONTAINERS = frozenset(container for group in TABLE.kind for container in group.containers)


def serves_by_image(image: str, container: str) -> bool:
    """Tell whether a container is a server or helper, by the name of its image or its own name."""
    return container in _CONTAINERS or not _IMAGES.isdisjoint(split_image_name(image).ends)
