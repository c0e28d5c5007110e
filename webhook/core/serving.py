"""Which containers serve or assist, and so are no workers, by names alone; the table is serving_images.toml."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import msgspec

from webhook.core.image_names import remembered, split_image_name


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Programs of one kind: how repositories of their images end, and how their containers are called."""

    name: str
    images: tuple[str, ...]
    containers: tuple[str, ...]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table."""

    kind: tuple[Group, ...]


def load_table() -> Table:
    """Read the table that comes with the package."""
    text = files("webhook.core").joinpath("serving_images.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Table)


TABLE = load_table()
_IMAGES = frozenset(image for group in TABLE.kind for image in group.images)
_CONTAINERS = frozenset(container for group in TABLE.kind for container in group.containers)


@remembered
def serves_by_image(image: str, container: str) -> bool:
    """Tell whether a container serves or assists, by the name of its image or its own."""
    if container in _CONTAINERS:
        return True
    rest, _, last = split_image_name(image).repository.rpartition("/")
    return last in _IMAGES or f"{rest.rpartition('/')[2]}/{last}" in _IMAGES
