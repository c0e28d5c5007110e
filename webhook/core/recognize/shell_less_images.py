"""Recognises images without a shell by name; the table is shell_less_images.toml."""

from __future__ import annotations

import re

import msgspec

from webhook.core.recognize.image_names import ImageName, split_image_name
from webhook.core.recognize.patterns import any_of
from webhook.core.tables import load_table


class Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A base image without a shell: a pattern of its full name, and of tags and names that do have a shell."""

    image: str
    source: str
    but: tuple[str, ...] = ()
    but_images: tuple[str, ...] = ()


class Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program whose images have no shell, except tags that match `but`; tags with words in `without` have none."""

    name: str
    images: tuple[str, ...]
    source: str
    but: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class Mesh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mesh's proxy, by container name."""

    container: str
    switch: str
    source: str
    shell_less: bool = False


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table."""

    shells: tuple[str, ...]
    words: tuple[str, ...]
    base: tuple[Base, ...]
    program: tuple[Program, ...]
    mesh: tuple[Mesh, ...]


TABLE = load_table(__name__, "shell_less_images.toml", Table)
_SHELLS = frozenset(TABLE.shells)
_BASES = tuple((any_of([base.image]), any_of(base.but), any_of(base.but_images)) for base in TABLE.base)
_PROGRAMS = {
    image: (any_of(program.but), _SHELLS - set(program.without))
    for program in TABLE.program
    for image in program.images
}
_MESHES = {mesh.container: mesh for mesh in TABLE.mesh}
_WORD = re.compile(r"[-_.+]")


def explain_missing_shell(image: str, container: str) -> str:
    """Return, as half a sentence, why a container has no shell; empty if nothing suggests that.

    For an image given only by digest, the name's usual meaning is assumed.
    """
    mesh = _MESHES.get(container)
    if mesh and mesh.shell_less:
        return f"it is {container}"
    name = split_image_name(image)
    words = _WORD.split(name.tag)
    for end in name.ends:
        if end in _PROGRAMS:
            versions, shells = _PROGRAMS[end]
            return "" if versions.match(name.tag) or not shells.isdisjoint(words) else f"its image is {end}"
    if is_shell_less_base(name):
        return f"its image is {name.name}"
    found = next((word for word in TABLE.words if word in name.repository or word in name.tag), "")
    return f"its image name contains {found}" if found and _SHELLS.isdisjoint(words) else ""


def native_switch(container: str) -> str:
    """Return the annotation by which a mesh makes its own proxy a native sidecar; empty for other containers."""
    mesh = _MESHES.get(container)
    return mesh.switch if mesh else ""


def is_shell_less_base(name: ImageName) -> bool:
    """Tell whether this is a base image without a shell."""
    return any(
        base.match(name.name) and not but.match(name.tag) and not but_images.match(name.name)
        for base, but, but_images in _BASES
    )
