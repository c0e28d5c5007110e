"""The documents' generated parts: each is computed from the product, and put between its two markers.

`python -m tests.documentation.generated` writes them again.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import fill

from tests.documentation import chart
from tests.documentation.package_map import package_map
from tests.documentation.reference import commands, reasons, watch_metrics, webhook_metrics
from tests.drains import cases as drains_cases
from tests.history import cases as history_cases
from tests.inspection.cases import Case
from tests.repair.cases import Case as DryRun
from webhook.core import scripts
from webhook.core.annotations import ANNOTATIONS, Mode
from webhook.core.recognize.frameworks import TABLE, Framework
from webhook.inspection.drain_limits import ANY, Detection, Field, Flag, Kubelet, Limit, Marker, Nodes, Policy
from webhook.inspection.drain_limits import TABLE as LIMITS

ROOT = Path(__file__).parent.parent.parent
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
WRITTEN_ELSEWHERE = {"proof.md", "idle-workers-first.md"}
"""Pages whose marked parts come from measurements and a model: tests/proof and benchmarks write them."""
DOCUMENTS = [
    page
    for page in (README, CONTRIBUTING, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md")))
    if page.name not in WRITTEN_ELSEWHERE and "<!-- begin: " in page.read_text()
]
PROOF = ROOT / "docs" / "proof.md"
PERFORMANCE = ROOT / "docs" / "performance.md"
EXAMPLE = ROOT / "examples" / "symfony-messenger.yaml"
SCRIPTS = {
    "the loop": scripts.LOOP,
    "the worker's hook": scripts.worker_hook("listen", sidecars_wait=True, chained=False, process_1_is_wrapper=True),
    "the sidecar's hook": scripts.sidecar_hook(chained=False, has_parent=False),
    "the sidecar's hook, before another": scripts.sidecar_hook(chained=True, has_parent=False),
}
_PART = re.compile(r"(<!-- begin: (\w+)((?: [\w-]+)*) -->\n).*?(<!-- end -->)", re.DOTALL)


def command_line(*arguments: str) -> str:
    """Run the command line, and return what it prints."""
    command = [sys.executable, "-m", "webhook", *arguments]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True).stdout


def annotation_table() -> str:
    rows = (f"| `{annotation.key}` | {annotation.accepts} | {annotation.meaning} |" for annotation in ANNOTATIONS)
    return "\n".join(["| annotation | accepts | meaning |", "|---|---|---|", *rows])


def framework_titles() -> str:
    """Return all titles as one paragraph; some frameworks have several rows."""
    return fill(", ".join(dict.fromkeys(framework.title for framework in TABLE.framework)) + ".", 120)


def frameworks() -> str:
    return "\n".join(
        ["| framework | mode | signal | flags added | why |", "|---|---|---|---|---|", *map(_row, TABLE.framework)]
    )


def _row(framework: Framework) -> str:
    flags = " ".join(word for flag in framework.flags for word in flag.add)
    signal = framework.signal if framework.mode is Mode.SIGNAL else ""
    why = f"{framework.why} {framework.caution}".rstrip()
    cells = (f"[{framework.title}]({framework.source})", framework.mode.value, signal, flags and f"`{flags}`", why)
    return f"| {' | '.join(cells)} |"


def explain(name: str) -> str:
    """Return what `explain` says of an example."""
    arguments = ("explain", "-f", f"examples/{name}.yaml")
    return f"```console\n$ graceful-worker {' '.join(arguments)}\n{command_line(*arguments)}```"


def manifest(name: str) -> str:
    """Return an example."""
    return f"```yaml\n{(ROOT / 'examples' / f'{name}.yaml').read_text()}```"


def status() -> str:
    """Return what is printed about a cluster of the tests, without the table and the exit code."""
    printed = Case("label-came-late").printed.partition("\n\n")[0]
    return f"```console\n$ graceful-worker status\n{printed}\n```"


def status_of_drains() -> str:
    """Return what is printed about drains in a cluster of the tests."""
    lines = Case("drains-of-the-readme").printed.partition("\n\n")[0].splitlines()
    first = next(number for number, line in enumerate(lines) if " drains " in line)
    return "\n".join(["```console", "$ graceful-worker status --kubelets", "…", *lines[first:], "```"])


def repair() -> str:
    """Return what a dry run prints about a cluster of the tests, without the exit code."""
    printed = DryRun("of-the-readme").printed.partition("\n\n")[0]
    return f"```console\n$ graceful-worker repair\n{printed}\n```"


def drains() -> str:
    """Return what is printed about a moment of the tests."""
    printed = drains_cases.printed(drains_cases.cases("tables")["readme"])
    return f"```console\n$ graceful-worker drains\n{printed}```"


def drains_wait() -> str:
    """Return what `drains --wait` prints at last in the rollout of the page for new users."""
    *_, last = drains_cases.cases("waits")["quick-start"]["lines"]
    return f"```text\n{last}\n```"


def history() -> str:
    """Return what is printed about a history of the tests."""
    printed = history_cases.printed_of_stream(history_cases.case(history_cases.files("streams")["readme"]))
    return f"```console\n$ graceful-worker drains --history\n{printed}```"


def drain_limits() -> str:
    head = ["| what | seen by | gives a pod | eviction guard | what else helps |", "|---|---|---|---|---|"]
    return "\n".join([*head, *map(_limit_row, LIMITS.limit)])


def _limit_row(limit: Limit) -> str:
    seen_by, gives = _detection(limit.detection)
    advice = limit.advice.format(longest="N", minutes="M")
    cells = (
        f"[{limit.title}]({limit.source})",
        seen_by,
        gives,
        "keeps the grace period" if limit.guarded else "",
        advice,
    )
    return f"| {' | '.join(cells)} |"


def _detection(detection: Detection) -> tuple[str, str]:
    """Say how a limit is detected, and how long it is."""
    match detection:
        case Flag():
            return (
                f"`--{detection.flag}` or `--{detection.by_priority}` of its Deployment",
                f"{detection.default} s by default",
            )
        case Field():
            return f"`{'.'.join(detection.path)}` of a {detection.kind}", "what it says"
        case Policy():
            return f"`{detection.field}` in a ConfigMap of {detection.namespace}", "what it says"
        case Marker():
            return f"ConfigMap `{detection.name}` in {detection.namespace}", f"{detection.seconds} s by default"
        case Kubelet():
            return "`shutdownGracePeriod` of a kubelet, with `--kubelets` alone", "what it says; else nothing"
        case Nodes():
            return "nodes with " + ", or ".join(map(_labels, detection.labels)), f"{detection.seconds} s"


def _labels(labels: dict[str, str]) -> str:
    return " and ".join(f"`{key}`" if value == ANY else f"`{key}: {value}`" for key, value in labels.items())


def before() -> str:
    return f"```yaml\n{_template(EXAMPLE.read_text())}```"


def after() -> str:
    text = command_line("inject", "-f", str(EXAMPLE))
    for name, script in SCRIPTS.items():
        text = re.sub(_literal_block(script), f"<{name}>\n", text)
    return f"```yaml\n{_template(text)}```"


def _literal_block(script: str) -> str:
    """Match a script as a literal block of YAML, whatever its indentation."""
    lines = (rf" *{re.escape(line)}\n" for line in script.splitlines())
    return r"\|[-+0-9]*\n" + "".join(lines)


def _template(text: str) -> str:
    lines = text.partition("  template:\n")[2].splitlines(keepends=True)
    return "".join(line.removeprefix("    ") for line in lines)


def proof() -> str:
    """Return the summary of docs/proof.md, which `make proof` writes."""
    return PROOF.read_text().partition("<!-- begin: summary -->\n")[2].partition("\n<!-- end -->")[0]


def proof_in_numbers() -> str:
    """Return the proof and the speed in three numbers."""
    _, lost, _, protected, _ = (cell.strip(" *") for cell in proof().splitlines()[-1].strip("|").split("|"))
    scenarios = len(proof().splitlines()) - 3
    workers = PROOF.read_text().partition(" workers, of real frameworks")[0].rpartition("\n")[2]
    fastest = re.search(r"\| \*\*graceful-worker\*\* \| 8 \| (\d+) \| \S+ \| (\S+) \|", PERFORMANCE.read_text())
    assert fastest
    return "\n".join(
        [
            "| | |",
            "|---|---|",
            f"| **{lost} → {protected}** | messages lost or repeated, unpatched → with graceful-worker |",
            f"| **{workers} × {scenarios}** | workers × ways in which Kubernetes ends a pod, three rounds each |",
            f"| **{int(fastest[1]):,}/s** | pods that one replica admits on one core, p99 {fastest[2]} ms |",
        ]
    )


_FUNCTIONS: tuple[Callable[..., str], ...] = (
    framework_titles,
    frameworks,
    explain,
    manifest,
    status,
    status_of_drains,
    repair,
    drains,
    drains_wait,
    history,
    drain_limits,
    proof_in_numbers,
    proof,
    before,
    after,
    chart.chart_values,
    chart.chart_overlays,
    reasons,
    webhook_metrics,
    watch_metrics,
    commands,
    package_map,
)
PARTS = {"annotations": annotation_table, **{function.__name__: function for function in _FUNCTIONS}}


def generated(text: str) -> str:
    """Return a document with its generated parts as they should be."""
    return _PART.sub(lambda match: f"{match[1]}{PARTS[match[2]](*match[3].split())}\n{match[4]}", text)


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(generated(document.read_text()))
