"""Write the table of docs/proof.md: for each case and column, both values with the worst shell."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from tests.harm.matrix import Result
from tests.harm.run import Record

_PART = re.compile(r"(<!-- begin: harm -->\n).*?(<!-- end -->)", re.DOTALL)
_HEAD = """\
| what runs | cut | begun in the drain | seconds to the end | verdict |
|---|---|---|---|---|"""


def as_json(results: Sequence[Result]) -> str:
    return json.dumps([_plain(result) for result in results], indent=1)


def _plain(result: Result) -> dict[str, object]:
    columns = {kind: _columns(record) for kind, record in (("bare", result.bare), ("patched", _patched(result)))}
    return {
        "case": result.case.name,
        "title": result.case.title,
        "shell": result.shell,
        **columns,
        "worse": result.worse,
    }


def _columns(record: Record) -> dict[str, object]:
    kept = ("lines", "ends", "exit_codes", "said", "error")
    plain = {name: value for name, value in asdict(record).items() if name in kept}
    return {"cut": record.cut, "begun": record.begun, "seconds": round(record.seconds, 2), **plain}


def _patched(result: Result) -> Record:
    """Return the record of the patched pod, or of the bare pod if the product did not change it."""
    return result.bare if result.patched.untouched else result.patched


def table(results: Sequence[Result]) -> str:
    """Return the table, each value as bare → patched."""
    by_case = groupby(sorted(results, key=lambda result: result.case.name), key=lambda result: result.case.name)
    return "\n".join([_HEAD, *(_row(list(group)) for _, group in by_case)])


def _row(results: Sequence[Result]) -> str:
    worse = sum(bool(result.worse) for result in results)
    said = f"**worse under {worse} of {len(results)}**" if worse else _no_worse(results)
    numbers = (
        _both(results, lambda r: str(r.cut), lambda r: r.cut),
        _both(results, lambda r: str(r.begun), lambda r: r.begun),
    )
    seconds = _both(results, lambda r: f"{r.seconds:.1f}", lambda r: r.seconds)
    return f"| {results[0].case.title} | {numbers[0]} | {numbers[1]} | {seconds} | {said} |"


def _no_worse(results: Sequence[Result]) -> str:
    return "untouched" if all(result.patched.untouched for result in results) else "no worse"


def _both(results: Sequence[Result], show: Callable[[Record], str], key: Callable[[Record], float]) -> str:
    bare = max((result.bare for result in results), key=key)
    patched = max((_patched(result) for result in results), key=key)
    return f"{show(bare)} → {show(patched)}"


def write(document: Path, results: Sequence[Result]) -> None:
    """Write the table between its markers.

    Raises:
        ValueError: the document has no markers.

    """
    text, found = _PART.subn(lambda match: f"{match[1]}{table(results)}\n{match[2]}", document.read_text())
    if not found:
        raise ValueError(f"{document} lacks the markers of the table: <!-- begin: harm --> and <!-- end -->")
    document.write_text(text)
