"""The site's source: the pages of docs/ and some of the repository's own, with links that work on the site.

`python -m tests.documentation.site FOLDER` writes it there, with the configuration that Zensical reads. Links to other
files lead to REPOSITORY_URL; without that variable they become plain text.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
CONFIGURATION = DOCS / "zensical.toml"
ELSEWHERE = {
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "deploy/helm/graceful-worker/README.md": "reference/chart.md",
    # The site's front page says what the README says.
    "README.md": "index.md",
}
"""Files outside docs/ that are pages of the site."""
_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^][]|!?\[[^][]*\])*)\]\((?!https?:|mailto:|#)([^)#\s]*)(#[^)\s]*)?\)")


def pages() -> dict[str, str]:
    """Return the site's pages and pictures: by their path in the repository, their path on the site."""
    own = {f"docs/{path}": path for path in _files(DOCS)}
    return own | {source: page for source, page in ELSEWHERE.items() if (ROOT / source).exists()}


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != CONFIGURATION:
            yield path.relative_to(folder).as_posix()


def page(source: str, text: str, repository: str) -> str:
    """Return a document of the repository as a page of the site: only its links change."""
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_with_links(source, text[end : fence.start()], repository), fence[0]]
        end = fence.end()
    return "".join([*parts, _with_links(source, text[end:], repository)])


def _with_links(source: str, text: str, repository: str) -> str:
    return _LINK.sub(lambda link: _link(source, link, repository), text)


def _link(source: str, link: re.Match[str], repository: str) -> str:
    mark, words, path, anchor = link[1], link[2], link[3], link[4] or ""
    target = PurePosixPath(os.path.normpath(PurePosixPath(source).parent / path)).as_posix()
    if target in (known := pages()):
        here = PurePosixPath(known[source]).parent
        return f"{mark}[{words}]({os.path.relpath(known[target], here)}{anchor})"
    if not (ROOT / target).exists():
        raise SystemExit(f"{source}: the link to {path} leads nowhere")
    if not repository:
        return words
    return f"[{words}]({repository}/{'tree' if (ROOT / target).is_dir() else 'blob'}/main/{target}{anchor})"


def write(folder: Path, repository: str) -> None:
    """Write the site's source and its configuration to a folder."""
    shutil.rmtree(folder / "source", ignore_errors=True)
    for source, name in pages().items():
        destination = folder / "source" / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        if source == "README.md":
            continue
        if name.endswith(".md"):
            destination.write_text(page(source, (ROOT / source).read_text(), repository))
        else:
            shutil.copyfile(ROOT / source, destination)
    configuration = CONFIGURATION.read_text()
    if repository:
        configuration = configuration.replace('site_url = ""', f'site_url = ""\nrepo_url = "{repository}"')
    (folder / "zensical.toml").write_text(configuration)


if __name__ == "__main__":
    write(Path(sys.argv[1]), os.environ.get("REPOSITORY_URL", ""))
