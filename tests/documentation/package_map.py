"""The map of the packages, from import-linter's contracts in pyproject.toml and the packages' own first sentences."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def package_map() -> str:
    """Return a table of all packages and modules that a contract of layers names, from the top layer to the bottom."""
    rows = (f"| `{_path(module)}` | {_sentence(module)} | {_contents(module)} |" for module in _modules())
    return "\n".join(["| where | what | modules |", "|---|---|---|", *rows])


def _modules() -> Iterator[str]:
    """Yield the layers of the first contract; where the layers of another are inside one of them, these follow it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    packages, *inner = [contract for contract in contracts if contract["type"] == "layers"]
    for package in _names(packages["layers"]):
        yield package
        for contract in inner:
            for container in contract["containers"]:
                if container == package:
                    yield from (f"{container}.{name}" for name in _names(contract["layers"]))


def _names(layers: list[str]) -> list[str]:
    return [name for layer in layers for name in re.split(r" [:|] ", layer)]


def _file(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _path(module: str) -> str:
    file = _file(module)
    return f"{(file.parent if file.stem == '__init__' else file).relative_to(ROOT)}{'/' * (file.stem == '__init__')}"


def _sentence(module: str) -> str:
    docstring = ast.get_docstring(ast.parse(_file(module).read_text())) or ""
    return docstring.partition("\n\n")[0].replace("\n", " ")


def _contents(module: str) -> str:
    """List a package's own modules and tables; the name of an inner package is in its own row."""
    file = _file(module)
    if file.stem != "__init__":
        return ""
    files = sorted(path.name for path in file.parent.iterdir() if path.suffix in (".py", ".toml"))
    return ", ".join(f"`{name.removesuffix('.py')}`" for name in files if name != "__init__.py")
