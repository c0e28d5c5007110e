"""Checks passages by the project's style and by proselint."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec
from proselint.checks import __register__
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

from tests.prose.passages import Passage, passages_of

ROOT = Path(__file__).parent.parent.parent
_CODE = re.compile(r"``[^`]+``|`[^`]+`|https?://\S+|\{[^{}\n]*\}|<[^<>\n]+>|\]\([^)\n]*\)")
_SENTENCE_END = re.compile(
    r"""[.!?…][)"'”*_]*(?=\s|$)"""
    # An empty line, or a line that starts with a dash or a number, or has columns.
    r"|\n(?=[ \t]*\n)|\n(?=[ \t]*(?:[-*+]|\d+\.)[ \t])|\n(?=[^\n]*\S[ ]{2,}\S)"
)
_GAP = "\n\n¶\n"
"""Between passages, so that proselint sees no repeated word across them."""
_WORD = re.compile(r"\w[\w'’/.-]*")


class Finding(NamedTuple):
    """What to change, and where."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class Avoid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words to avoid, as regular expressions, and what to write in their place."""

    words: tuple[str, ...]
    instead: str


class Style(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The style: which files it is for, and its rules."""

    paths: tuple[str, ...]
    longest_sentence: int
    proselint_off: tuple[str, ...]
    avoid: tuple[Avoid, ...]

    @cached_property
    def patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """The words to avoid, compiled."""
        return [(re.compile(rf"\b(?:{'|'.join(row.words)})\b", re.IGNORECASE), row.instead) for row in self.avoid]

    @cached_property
    def any_pattern(self) -> re.Pattern[str]:
        """All words to avoid: most passages have none of them."""
        return re.compile(rf"\b(?:{'|'.join(word for row in self.avoid for word in row.words)})\b", re.IGNORECASE)


def read_style() -> Style:
    """Read the style of the project."""
    return msgspec.convert(tomllib.loads(Path(__file__).with_name("style.toml").read_text("utf-8")), Style)


def files_of(style: Style, root: Path = ROOT) -> list[Path]:
    """Return the files that the style is for."""
    return sorted({path for pattern in style.paths for path in root.glob(pattern) if path.is_file()})


def check_file(path: Path, style: Style) -> list[Finding]:
    """Return what to change in a file, in order."""
    passages = [Passage(line, _without_code(text)) for line, text in passages_of(path)]
    found = [*_own_rules(passages, style), *_proselint(passages, style)]
    return [Finding(path, line, message) for line, message in sorted(found)]


def _without_code(text: str) -> str:
    """Let code count as one word, and no two alike, or they would count as a word that is repeated."""
    number = count()
    return _CODE.sub(lambda match: f"X{next(number)}" + "\n" * match.group().count("\n"), text)


def _own_rules(passages: Iterable[Passage], style: Style) -> Iterator[tuple[int, str]]:
    for line, text in passages:
        for start, sentence in _sentences(text):
            words = len(_WORD.findall(sentence))
            if words > style.longest_sentence:
                message = f"a sentence of {words} words: split it; at most {style.longest_sentence}"
                yield line + text.count("\n", 0, start), message
        if not style.any_pattern.search(text):
            continue
        for pattern, instead in style.patterns:
            for match in pattern.finditer(text):
                said = " ".join(match.group().split())
                yield line + text.count("\n", 0, match.start()), f"avoid {said!r}: {instead}"


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for end in (*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)):
        sentence = text[start:end]
        if sentence.strip():
            yield start + len(sentence) - len(sentence.lstrip()), sentence
        start = end


def _proselint(passages: Sequence[Passage], style: Style) -> Iterator[tuple[int, str]]:
    if not passages:
        return
    lines = [line + offset for line, text in passages for offset in range(f"{text}{_GAP}".count("\n"))]
    registry = CheckRegistry()
    if not registry.checks:
        registry.register_many(__register__)
    document = LintFile("prose", "".join(f"{text}{_GAP}" for _, text in passages))
    for result in document.lint():
        check = result.check_result
        if not check.check_path.startswith(style.proselint_off):
            # proselint puts an empty line before the document.
            line = document.content.count("\n", 1, check.span[0])
            yield lines[min(line, len(lines) - 1)], f"{check.message} ({check.check_path})"
