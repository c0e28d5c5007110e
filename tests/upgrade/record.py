"""Records how this version injects a few pods, once for each release: `python -m tests.upgrade.record`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonpatch
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from tests.golden.cases import Case
from webhook import __version__

FOLDER = Path(__file__).parent
CASES = (
    *("modes/loop-asked", "modes/unknown-command", "modes/symfony-flags-too-high", "modes/stop-signal", "modes/job"),
    *("command/args-only", "command/flags-missing", "containers/mixed-modes", "grace/absent", "volumes/read-only-root"),
    *("hooks/worker-exec", "hooks/worker-http-get", "hooks/sidecar-exec", "hooks/sidecar-tcp-socket"),
    *("native/worker-in-the-middle", "shells/injected-sidecar-and-init", "mesh/istio-proxy", "mesh/linkerd-proxy"),
    *("probes/without-grace", "evict/never"),
)
"""Golden cases that together have every part that an injection can have."""


def main() -> None:
    """Write a file for each case; fail if this version has already been recorded."""
    folder = FOLDER / __version__
    if folder.exists():
        sys.exit(f"tests/upgrade/{__version__} is there: what a version has made of pods is recorded once")
    folder.mkdir()
    for name in CASES:
        case = Case(name)
        assert case.injection.patch, f"{name} is not injected: {case.injection.decision.verdict}"
        injected = jsonpatch.apply_patch(case.pod, case.injection.patch)
        write(folder / f"{name.replace('/', '-')}.yaml", {"original": case.pod, "injected": injected})


def write(file: Path, content: dict[str, Any]) -> None:
    """Write the content as YAML, with each line of a script on a separate line."""
    yaml = YAML()
    yaml.width = 100_000
    yaml.dump(_literal(json.loads(json.dumps(content))), file)


def _literal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value


if __name__ == "__main__":
    main()
