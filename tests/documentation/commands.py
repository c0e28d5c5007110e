"""The commands in the documents: each line of a `console` block that begins with `$ `, and what its block needs.

A block with a command that no test here runs has a comment above it, such as `<!-- needs: a cluster -->`.
What needs a cluster is still checked: verbs, flags, names and paths. Generated blocks are written by what they show.
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
_BLOCK = re.compile(
    r"(?:^<!-- needs: (?P<needs>[^\n]+) -->\n)?^```console\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_GENERATED = re.compile(r"^<!-- begin: .*?^<!-- end -->$", re.MULTILINE | re.DOTALL)
CLUSTER = "a cluster"
"""What a block needs whose commands are checked, and run by tests/cluster at most."""
_ASSIGNMENT = re.compile(r"[A-Z_0-9]+=.*", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One command, with the page that it is on; a pipeline has one for each of its programs."""

    page: str
    words: tuple[str, ...]
    needs: str
    is_generated: bool = False
    """Whether its block is written by a test, from what the command prints."""

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
    generated = [part.span() for part in _GENERATED.finditer(text)]
    for block in _BLOCK.finditer(text):
        is_generated = any(begin <= block.start() < end for begin, end in generated)
        joined = re.sub(r" \\\n +", " ", block["text"])
        for line in re.findall(r"^\$ (.+)$", joined, re.MULTILINE):
            yield from (Command(page, words, block["needs"] or "", is_generated) for words in _programs(line))


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
