"""Finds the prose in files: Markdown outside code, docstrings, comments and sentences in strings."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

KEEP = "prose: keep"
"""A passage with these words in it, or in the line before, is not checked."""
_LEAST_WORDS = 4
"""Strings with fewer words are names and codes, not sentences."""
_TEXT_KEYS = frozenset({"summary", "description", "message"})
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
_NOT_PROSE = re.compile(r"noqa|type: ignore|shellcheck|pragma:|-\*-")
_LOOKS_LIKE_CODE = re.compile(r"\(\?|\\[sdbw]|[{}]{2}|^\W*(?:kubectl|SELECT) ")
_LEFT_OUT_OF_MARKDOWN = re.compile(
    r"^(?P<fence>```+|~~~+).*?^(?P=fence)[ \t]*$|<!-- begin: .*?<!-- end -->|<!--(?! prose: keep).*?-->|^---\n.*?^---$",
    re.DOTALL | re.MULTILINE,
)
_LIST_ITEM = re.compile(r"(?=^[ \t]*(?:[-*+]|\d+\.)[ \t])", re.MULTILINE)


class Passage(NamedTuple):
    """A paragraph, docstring, block of comments or string, and the line on which it starts."""

    line: int
    text: str


def passages_of(path: Path) -> list[Passage]:
    """Return the prose of a file, without what is kept as it is."""
    text = path.read_text(encoding="utf-8")
    before = {number + 1 for number, line in enumerate(text.splitlines(), 1) if KEEP in line}
    found = _READERS.get(path.suffix, _from_comments)(text)
    return [
        passage for passage in found if passage.text.strip() and KEEP not in passage.text and passage.line not in before
    ]


def is_sentence(text: str) -> bool:
    """Tell whether a string has enough words to be prose."""
    return not _LOOKS_LIKE_CODE.search(text) and len(_WORD.findall(text)) >= _LEAST_WORDS and " " in text.strip()


def _from_markdown(text: str) -> Iterator[Passage]:
    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]+", "", match.group())

    text = _LEFT_OUT_OF_MARKDOWN.sub(blank, text)
    line = 1
    for block in re.split(r"(\n\s*\n)", text):
        for item in _LIST_ITEM.split(block):
            yield from _rows(line, item)
            line += item.count("\n")


def _rows(line: int, block: str) -> Iterator[Passage]:
    """Yield a paragraph, or each cell of a table."""
    if not block.lstrip().startswith("|"):
        yield Passage(line, block)
        return
    for offset, row in enumerate(block.splitlines()):
        yield from (Passage(line + offset, cell) for cell in re.split(r"(?<!\\)\|", row) if is_sentence(cell))


def _from_python(text: str) -> Iterator[Passage]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    yield from _blocks(comments)
    tree = ast.parse(text)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    yield from _strings(tree, documentation)


def _strings(node: ast.AST, documentation: set[int]) -> Iterator[Passage]:
    if isinstance(node, (ast.JoinedStr, ast.Constant)):
        text = _text(node)
        is_documentation = id(node) in documentation
        if text and (is_documentation or is_sentence(text)):
            # The line breaks of other strings are not those of the file.
            yield Passage(node.lineno, text if is_documentation else " ".join(text.split()))
        return
    for child in ast.iter_child_nodes(node):
        yield from _strings(child, documentation)


def _text(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{value}" for part in node.values)


def _from_toml(text: str) -> Iterator[Passage]:
    yield from _from_comments(text)
    lines = text.splitlines()
    for value in _values(tomllib.loads(text)):
        if is_sentence(value):
            start = value.strip().splitlines()[0][:30]
            line = next((number for number, line in enumerate(lines, 1) if start in line), 1)
            yield Passage(line, " ".join(value.split()))


def _values(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    for value in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from _values(value)


def _from_yaml(text: str) -> Iterator[Passage]:
    yield from _from_comments(text)
    # Charts' templates are not YAML before they are rendered.
    for root in YAML(typ="rt", pure=True).compose_all(text) if "{{-" not in text else ():
        yield from _messages(root)


def _messages(node: Node | None, key: str = "") -> Iterator[Passage]:
    if isinstance(node, ScalarNode) and key in _TEXT_KEYS and is_sentence(node.value):
        yield Passage(node.start_mark.line + 1, " ".join(node.value.split()))
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _messages(item, key)
    elif isinstance(node, MappingNode):
        for name, value in node.value:
            yield from _messages(value, str(name.value))


def _from_comments(text: str) -> Iterator[Passage]:
    lines = enumerate(text.splitlines(), 1)
    comment = re.compile(r"(?:^|\s)(#(?!!).*)$")
    yield from _blocks((number, match[1]) for number, line in lines if (match := comment.search(line)))


def _blocks(comments: Iterable[tuple[int, str]]) -> Iterator[Passage]:
    """Join comments on consecutive lines; an empty one, or one with deeper indentation, separates them."""
    block: list[str] = []
    last = 0
    for number, comment in comments:
        text = comment.lstrip("#")
        is_separate = not text.strip() or text.startswith("   ") or bool(_NOT_PROSE.search(text))
        if block and (is_separate or number != last + 1):
            yield Passage(last - len(block) + 1, "\n".join(block))
            block = []
        if not is_separate:
            block.append(text.strip())
            last = number
    if block:
        yield Passage(last - len(block) + 1, "\n".join(block))


_READERS = {
    ".md": _from_markdown,
    ".py": _from_python,
    ".toml": _from_toml,
    ".yaml": _from_yaml,
}
