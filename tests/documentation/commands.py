"""The commands in the documents: each line of a `console` block that begins with `$ `, and what its block needs.

A block that no test can run has a comment above it: `<!-- needs: a GKE cluster -->`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "tests" / "harm" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
]
_BLOCK = re.compile(r"(?:^<!-- needs: (?P<needs>.+) -->\n)?^```console\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_0-9]+=.*", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One command, with the page that it is on; a pipeline has one for each of its programs."""

    page: str
    words: tuple[str, ...]
    needs: str

    @property
    def program(self) -> str:
        return self.words[0].removeprefix(".venv/bin/")

    @property
    def arguments(self) -> tuple[str, ...]:
        return self.words[1:]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def commands() -> Iterator[Command]:
    """Return all commands of all pages."""
    for page in PAGES:
        yield from _of_page(page.relative_to(ROOT).as_posix(), page.read_text())


def _of_page(page: str, text: str) -> Iterator[Command]:
    for block in _BLOCK.finditer(text):
        joined = re.sub(r" \\\n +", " ", block["text"])
        for line in re.findall(r"^\$ (.+)$", joined, re.MULTILINE):
            yield from (Command(page, words, block["needs"] or "") for words in _programs(line))


def _programs(line: str) -> Iterator[tuple[str, ...]]:
    words = shlex.split(line, comments=True)
    part: list[str] = []
    for word in [*words, "|"]:
        if word in ("|", "&&"):
            # A line may only set variables.
            yield from [tuple(part)] if part else []
            part = []
        elif part or not _ASSIGNMENT.fullmatch(word):
            part.append(word)


def lines_below(page: Path, heading: str) -> list[str]:
    """Return the commands of the first block below a heading, each as it is typed."""
    below = page.read_text().partition(f"\n{heading}\n")[2]
    block = _BLOCK.search(below)
    assert block is not None, f"{page.name}: no commands below {heading}"
    return re.findall(r"^\$ (.+)$", block["text"], re.MULTILINE)


def block_below(page: Path, heading: str, language: str) -> str:
    """Return the first block of a language below a heading."""
    below = page.read_text().partition(f"\n{heading}\n")[2]
    block = re.search(rf"^```{language}\n(.*?)^```$", below, re.MULTILINE | re.DOTALL)
    assert block is not None, f"{page.name}: no block of {language} below {heading}"
    return block[1]
