"""The cases: a cluster as a file, and the expected output of a dry run or of a run.

`python -m tests.repair.cases` writes the expected outputs anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.inspection.api_server import ApiServer
from tests.inspection.cases import NOW, objects_of
from tests.repair.played import Played, PlayedClock
from webhook.cli.repair import OwnerName
from webhook.cli.repair_run import RepairRun
from webhook.inspection.snapshot import Names
from webhook.kubernetes.errors import ClusterUnavailable
from webhook.repair.plan import Selection
from webhook.repair.rollout_watch import Clock, Timing

FOLDER = Path(__file__).parent / "cases"
RUNS = Path(__file__).parent / "runs"


class FixedClock(Clock):
    """A clock that always shows the time of the cases."""

    def now(self) -> datetime.datetime:
        return NOW


@dataclass(frozen=True)
class Case:
    """A folder with a cluster, and its dry run."""

    name: str

    @property
    def expected(self) -> Path:
        return FOLDER / self.name / "expected.txt"

    @property
    def api_server(self) -> ApiServer:
        denied = FOLDER / self.name / "denied.yaml"
        cluster = objects_of(FOLDER / self.name / "cluster.yaml")
        return ApiServer(cluster, YAML(typ="safe").load(denied) if denied.exists() else ())

    @property
    def printed(self) -> str:
        return self.print(self.api_server)

    def print(self, api_server: ApiServer, *, as_json: bool = False) -> str:
        choice = FOLDER / self.name / "choice.yaml"
        selection = choice_of(YAML(typ="safe").load(choice)) if choice.exists() else Selection()
        return printed(api_server, selection, FixedClock(), is_dry=True, as_json=as_json)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Run:
    """A file: the cluster, how it changes while its workloads are restarted, and the output."""

    name: str

    @property
    def expected(self) -> Path:
        return RUNS / f"{self.name}.txt"

    @property
    def script(self) -> dict[str, Any]:
        script: dict[str, Any] = YAML(typ="safe").load(RUNS / f"{self.name}.yaml")
        return script

    @property
    def printed(self) -> str:
        return self.print()

    def print(self, *, as_json: bool = False) -> str:
        script = self.script
        played = Played(objects_of(FOLDER / script["case"] / "cluster.yaml"), script["acts"], script.get("meanwhile"))
        return printed(played, Selection(), PlayedClock(played), is_dry=False, as_json=as_json)

    def __str__(self) -> str:
        return self.name


def printed(api_server: ApiServer, selection: Selection, clock: Clock, *, is_dry: bool, as_json: bool) -> str:
    """Return the output, followed by the exit code unless it is JSON."""
    work = RepairRun(Names(context="prod"), selection, Timing(), is_dry=is_dry, as_json=as_json, clock=clock)

    async def run() -> None:
        async with api_server.client() as client:
            await work.work(client)

    output = io.StringIO()
    code: int | str | None = None
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO() if as_json else output):
        try:
            asyncio.run(run())
        except ClusterUnavailable as error:
            print(error, file=sys.stderr)
            code = 2
        except SystemExit as end:
            code = end.code
        if work.plan:
            work.finish()
    code = work.exit_code if code is None else code
    return output.getvalue() if as_json else f"{output.getvalue()}\nexit code {code}\n"


def choice_of(choice: dict[str, list[str]]) -> Selection:
    names = [OwnerName().convert(name, None, None) for name in choice.get("owners", ())]
    return Selection(frozenset(choice.get("namespaces", ())), frozenset(names))


def all_cases() -> list[Case]:
    return [Case(folder.name) for folder in sorted(FOLDER.iterdir())]


def all_runs() -> list[Run]:
    return [Run(file.stem) for file in sorted(RUNS.glob("*.yaml"))]


if __name__ == "__main__":
    for case in all_cases():
        case.expected.write_text(case.printed)
    for run in all_runs():
        run.expected.write_text(run.printed)
