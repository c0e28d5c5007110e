"""The documentation site: it builds without a warning, every link leads somewhere, and no other host is needed."""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.documentation.diagrams import FOLDER, pictures
from tests.documentation.site import CONFIGURATION, ROOT, pages, write

TOOL = ROOT / ".local" / "docs" / "venv" / "bin" / "zensical"
LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src")}
"""What a browser fetches by itself."""
ANSWERS = [
    "My pod hangs in Terminating",
    "My pod is refused",
    "My worker is still killed",
    "Is it safe to upgrade?",
    "How do I uninstall it?",
]


class Page(HTMLParser):
    """What a page links to, what it loads, and the places on it that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.loaded: set[str] = set()
        self.places: set[str] = set()
        self._link = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.places.add(values.get("id", ""))
        self.loaded |= {values[name] for loads, name in LOADED if loads == tag and name in values}
        if tag == "a" and "href" in values:
            self._link = values["href"]
            self.links.setdefault(self._link, "")

    def handle_data(self, data: str) -> None:
        if self._link:
            self.links[self._link] += data.strip()

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._link = ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """The pages of the site, by their files."""
    assert TOOL.exists(), "make docs installs it"
    folder = tmp_path_factory.mktemp("site")
    write(folder, "https://git.example/graceful-worker")
    built = subprocess.run(
        [TOOL, "build", "--clean", "--strict"],
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "No issues found" in built.stdout + built.stderr
    return {file.resolve(): Page(file.read_text()) for file in (folder / "site").rglob("*.html")}


def in_nav(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from in_nav(value)


def test_every_page_is_in_the_navigation_once() -> None:
    listed = list(in_nav(tomllib.loads(CONFIGURATION.read_text())["project"]["nav"]))
    assert sorted(listed) == sorted({name for name in pages().values() if name.endswith(".md")})


def test_every_internal_link_leads_to_a_page_and_a_place_on_it(site: dict[Path, Page]) -> None:
    broken = []
    for file, page in site.items():
        # The page that is shown for a missing one may be shown anywhere.
        if file.name == "404.html":
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (target.suffix == ".html" and parts.fragment not in {"", *site[target].places}):
                broken.append(f"{file}: {link}")
    assert broken == []


def test_a_browser_loads_nothing_from_another_host(site: dict[Path, Page]) -> None:
    assert {asset for page in site.values() for asset in page.loaded if urlsplit(asset).netloc} == set()


@pytest.mark.parametrize("question", ANSWERS)
def test_an_answer_is_one_click_from_the_front_page(site: dict[Path, Page], question: str) -> None:
    (front,) = (page for file, page in site.items() if file.parent.name == "site" and file.name == "index.html")
    assert question in front.links.values()


def test_a_link_to_a_file_of_the_repository_leads_to_the_repository(site: dict[Path, Page]) -> None:
    links = {link for page in site.values() for link in page.links}
    assert "https://git.example/graceful-worker/blob/main/webhook/core/recognize/frameworks.toml" in links
    assert "https://git.example/graceful-worker/tree/main/deploy/overlays/fail-open" in links


def test_the_pictures_are_drawn_from_their_table() -> None:
    drawn = {file.name: file.read_text() for file in FOLDER.glob("drain-*.svg")}
    assert drawn == pictures(), "draw them again: python -m tests.documentation.diagrams"
