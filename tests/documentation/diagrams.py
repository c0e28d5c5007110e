"""The pictures of how a drain works, as SVG: drawn from docs/concepts/diagrams.toml.

`python -m tests.documentation.diagrams` draws them again.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent.parent / "docs" / "concepts"
WIDTH, LEFT, RIGHT, TOP, LANE, BAR = 820, 180, 20, 64, 52, 26
STYLES = {"": ("#dbe7f5", "#4a78b0"), "ours": ("#fdebc8", "#c98a1b")}
"""Fill and line of a bar: what was there, and what graceful-worker adds."""

HALO = ' paint-order="stroke" stroke="#fff" stroke-width="4"'
"""Keeps lines from crossing words."""


def pictures() -> dict[str, str]:
    """Return all pictures, by the name of their file."""
    table = tomllib.loads((FOLDER / "diagrams.toml").read_text())
    return {f"{picture['name']}.svg": drawn(picture) for picture in table["picture"]}


def drawn(picture: dict[str, Any]) -> str:
    """Return a picture as SVG."""
    lanes = {name: TOP + LANE * number for number, name in enumerate(picture["lanes"])}
    height = TOP + LANE * len(lanes) + 12
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="#222">'
    )
    lines = [head, f"<title>{escape(picture['title'])}</title>", *_frame(picture, lanes, height)]
    for arrow in picture["arrows"]:
        lines += _arrow(arrow, lanes)
    for bar in picture["bars"]:
        lines += _bar(bar, lanes[bar["lane"]])
    for end in picture["ends"]:
        lines.append(_text(_x(end["at"]) + 8, lanes[end["lane"]] + 5, end["text"], "start", HALO))
    return "\n".join([*lines, "</svg>", ""])


def _x(time: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * time / 100


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _frame(picture: dict[str, Any], lanes: dict[str, int], height: int) -> Iterator[str]:
    """Draw the title, the lanes with their names, and the moment of the deletion."""
    yield _text(10, 20, picture["title"], "start", ' font-weight="600" font-size="15"')
    for name, y in lanes.items():
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#ddd"/>'
        yield _text(LEFT - 10, y + 5, name, "end")
    x = _x(picture["deleted"])
    yield f'<line x1="{x:g}" x2="{x:g}" y1="44" y2="{height - 10}" stroke="#b3261e" stroke-dasharray="4 3"/>'
    yield _text(x, 40, "pod deleted", "middle", ' fill="#b3261e"')


def _bar(bar: dict[str, Any], y: int) -> Iterator[str]:
    fill, line = STYLES[bar.get("style", "")]
    x, width = _x(bar["from"]), _x(bar["to"]) - _x(bar["from"])
    yield (
        f'<rect x="{x:g}" y="{y - BAR / 2:g}" width="{width:g}" height="{BAR}" rx="3" fill="{fill}" stroke="{line}"/>'
    )
    inside = width > 7 * len(bar["text"])
    if inside:
        yield _text(x + width / 2, y + 5, bar["text"], "middle")
    else:
        yield _text(x + width + 6, y + 5, bar["text"], "start", HALO)


def _arrow(arrow: dict[str, Any], lanes: dict[str, int]) -> Iterator[str]:
    x, start, end = _x(arrow["at"]), lanes[arrow["from"]], lanes[arrow["to"]] - BAR / 2
    yield f'<line x1="{x:g}" x2="{x:g}" y1="{start}" y2="{end - 5:g}" stroke="#222" stroke-width="1.5"/>'
    yield f'<path d="M{x - 4:g} {end - 6:g} h8 l-4 6 z"/>'
    yield f'<circle cx="{x:g}" cy="{start}" r="2.5"/>'
    below = 5 if arrow["from"] == "kubelet" else BAR / 2 + 15
    yield _text(x + 8, start + below, arrow["text"], "start", HALO)


if __name__ == "__main__":
    for name, text in pictures().items():
        (FOLDER / name).write_text(text)
