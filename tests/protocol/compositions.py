"""All scripts that pods may contain: `python -m tests.protocol.compositions FOLDER` writes them, for `make lint`."""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from itertools import product
from pathlib import Path

from tests.node.expansion import expand
from webhook.core import scripts
from webhook.core.scripts import COPY_SHELL, LOOP

BOTH = (False, True)
_NOT_CARRIED = re.compile(r"^\s*#.*\n|^\s*\n|^ +", re.MULTILINE)


def parts() -> dict[str, str]:
    """Return the texts of webhook/shell by file name."""
    found = (file for file in files("webhook.shell").iterdir() if file.name.endswith(".sh"))
    return {file.name: file.read_text() for file in found}


def carried(text: str) -> str:
    """Return a part in the form that pods contain: without comments, empty lines and indentation."""
    return _NOT_CARRIED.sub("", text)


def compositions() -> dict[str, str]:
    """Return all scripts by name, as they are after the kubelet has expanded the commands."""
    commands = {"loop": LOOP, "bring-shell": COPY_SHELL}
    texts = {name: expand(text, {}) for name, text in commands.items()}
    texts["parent-first"] = scripts.parent_first()
    texts |= {f"parent-then{'-looks' * looks}": scripts.parent_then(finds_worker=looks) for looks in BOTH}
    for chained, has_parent in product(BOTH, BOTH):
        name = f"sidecar-hook{'-chained' * chained}{'-parent' * has_parent}"
        texts[name] = scripts.sidecar_hook(chained=chained, has_parent=has_parent)
    for action, holds, chained in product(("", "listen", "send", "stay"), BOTH, BOTH):
        name = "-".join(("hook", action or "plain", *["holds"] * holds, *["chained"] * chained))
        texts[name] = scripts.worker_hook(action, sidecars_wait=holds, chained=chained)
    for chained in BOTH:
        name = f"hook-of-ours{'-chained' * chained}"
        texts[name] = scripts.worker_hook("listen", sidecars_wait=True, chained=chained, process_1_is_wrapper=True)
    return texts


def with_comments(script: str) -> str:
    """Return a script with the comments of its parts, as some of them are shellcheck directives."""
    script = scripts.with_long_names(script)
    by_beginning = {carried(text): text for text in parts().values()}
    result = []
    while script:
        part = max(filter(script.startswith, by_beginning), key=len)
        result.append(by_beginning[part])
        script = script[len(part) :]
    return "".join(result)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.sh"):
        old.unlink()
    for name, text in compositions().items():
        (folder / f"{name}.sh").write_text(with_comments(text))
