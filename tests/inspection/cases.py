"""The cases: a cluster as a file, inspected like a real one, and the expected output.

`python -m tests.inspection.cases` writes the expected outputs anew.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from certs.authority import Authority
from tests.inspection.api_server import ApiServer
from webhook.cli.status_report import pods_table, text
from webhook.core.annotations import STATUS_ANNOTATION
from webhook.inspection.checks import Verdict, overall_verdict, run_checks
from webhook.inspection.cluster import take_snapshot
from webhook.inspection.diagnostics import Diagnostic
from webhook.inspection.snapshot import Names, Snapshot

FOLDER = Path(__file__).parent / "cases"
INSTALLATION = Path(__file__).parent / "installation.yaml"
CONFIGURATION = Path(__file__).parent.parent.parent / "deploy" / "base" / "webhook-configuration.yaml"
NOW = datetime.datetime(2026, 8, 1, 3, tzinfo=datetime.UTC)
_CA = re.compile(r"CA until (\S+)")


@dataclass(frozen=True)
class Case:
    """A folder with a cluster and the expected output."""

    name: str

    @property
    def expected(self) -> Path:
        return FOLDER / self.name / "expected.txt"

    @property
    def api_server(self) -> ApiServer:
        denied = FOLDER / self.name / "denied.yaml"
        return ApiServer(
            objects_of(FOLDER / self.name / "cluster.yaml"),
            YAML(typ="safe").load(denied) if denied.exists() else (),
        )

    @property
    def kubelets(self) -> bool:
        return (FOLDER / self.name / "kubelets").exists()

    @property
    def printed(self) -> str:
        seen, diagnostics, verdict = inspect_cluster(self.api_server, kubelets=self.kubelets)
        lines = [*text(seen, diagnostics, verdict), *pods_table(seen), "", f"exit code {verdict.exit_code}"]
        return "\n".join(re.sub("\x1b\\[[0-9;]*m", "", line) for line in lines) + "\n"

    def __str__(self) -> str:
        return self.name


def objects_of(file: Path) -> list[Any]:
    """Return the objects of a cluster in a file."""
    return [expanded(document) for document in documents(file)]


def documents(file: Path) -> Iterator[Any]:
    for document in YAML(typ="safe", pure=True).load_all(file):
        if document == "<working installation>":
            yield from documents(INSTALLATION)
        else:
            yield document


def inspect_cluster(api_server: ApiServer, *, kubelets: bool = False) -> tuple[Snapshot, list[Diagnostic], Verdict]:
    """Take a snapshot of a cluster, run the checks, and determine the verdict."""

    async def snapshot() -> Snapshot:
        async with api_server.client() as client:
            return await take_snapshot(client, Names(context="prod"), kubelets=kubelets)

    seen = asyncio.run(snapshot())
    diagnostics = run_checks(seen, NOW)
    return seen, diagnostics, overall_verdict(diagnostics)


def all_cases() -> list[Case]:
    return [Case(folder.name) for folder in sorted(FOLDER.iterdir())]


def expanded(value: Any) -> Any:
    if value == "<shipped configuration>":
        configuration = YAML(typ="safe").load(CONFIGURATION)
        for entry in configuration["webhooks"]:
            entry["clientConfig"] = {**entry["clientConfig"], "caBundle": bundle("2027-06-01")}
        return configuration
    if isinstance(value, dict):
        return {
            key: json.dumps(item) if key == STATUS_ANNOTATION and isinstance(item, dict) else expanded(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [expanded(item) for item in value]
    ends = _CA.findall(value) if isinstance(value, str) and value.startswith("<CA ") else []
    return bundle(*(end.rstrip(">") for end in ends)) if ends else value


@cache
def bundle(*ends: str) -> str:
    """Return a caBundle of CAs that expire at the start of these days."""
    authorities = (
        Authority.create(
            datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
            datetime.datetime.fromisoformat(end).replace(tzinfo=datetime.UTC),
        )
        for end in ends
    )
    return base64.b64encode(b"".join(authority.certificate for authority in authorities)).decode()


if __name__ == "__main__":
    for case in all_cases():
        case.expected.write_text(case.printed)
