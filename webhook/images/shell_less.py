"""Detects images that cannot contain a shell, without reading their layers."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files

import msgspec

from webhook.core.recognize.image_names import ImageName
from webhook.core.recognize.shell_less_images import is_shell_less_base
from webhook.images.documents import Config, Manifest, Process, Text, texts
from webhook.images.errors import InvalidReference, printable
from webhook.images.reference import read_reference

# https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md
BASE_NAME = "org.opencontainers.image.base.name"
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "busybox"})


class Trace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The traces of a base image without a shell: its first step, a variable, and what must be absent."""

    name: str
    first_step: str
    environment: str
    but_step: str
    but_environment: str
    source: str


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table."""

    trace: tuple[Trace, ...]


def load_table() -> Table:
    """Load the table from the package."""
    text = files("webhook.images").joinpath("shell_less.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Table)


TABLE = load_table()


def why_no_shell(manifest: Manifest, config: Config, index_annotations: Mapping[str, Text]) -> str:
    """Return, as half a sentence, why an image cannot contain a shell; empty if that is not known."""
    process = config.process
    if _runs_shell(process):
        return ""
    if not manifest.layers:
        return "it has no layers"
    told = (manifest.annotations, index_annotations, process.labels or {})
    base = next(filter(None, (names.get(BASE_NAME) for names in told)), "")
    if _is_shell_less(base):
        return f"its base image is {printable(base.partition('@')[0])}"
    trace = next((trace.name for trace in TABLE.trace if _fits(trace, config)), "")
    return trace and f"its base image is {trace}"


def _runs_shell(process: Process) -> bool:
    first_words = (words[0] for words in (texts(process.entrypoint), texts(process.cmd)) if words)
    return any(word.rpartition("/")[2] in _SHELLS for word in first_words)


def _is_shell_less(base: str) -> bool:
    if base == "scratch":
        return True
    try:
        reference = read_reference(base)
    except InvalidReference:
        return False
    # A digest alone does not distinguish variants with a shell.
    is_told = not reference.digest or reference.tag != "latest"
    return is_told and is_shell_less_base(ImageName(reference.registry, reference.repository, reference.tag, ""))


def _fits(trace: Trace, config: Config) -> bool:
    steps = texts(step.created_by if step else None for step in config.history or ())
    environment = texts(config.process.env)
    return (
        bool(steps)
        and steps[0].startswith(trace.first_step)
        and trace.environment in environment
        and not any(trace.but_step in step for step in steps)
        and not any(trace.but_environment in variable for variable in environment)
    )
