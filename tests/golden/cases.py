"""Golden cases: the files, read and written in the form that people read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonpatch
import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from webhook import __version__
from webhook.core import scripts
from webhook.core.annotations import STATUS_ANNOTATION
from webhook.core.image_config import Image, Images, Unavailable
from webhook.core.injection import Injection, inject
from webhook.core.policy import DEFAULT_SHELL_IMAGE, Policy
from webhook.core.reasons import Finding, Kind

FOLDER = Path(__file__).parent
LINE = 100
_POD = ".pod.yaml"


def _worker_hooks() -> dict[str, scripts.Script]:
    """Name the hooks of workers by what they do."""
    hooks = {}
    for action in ("listen", "send", "stay", ""):
        for holds in (False, True):
            for chained in (False, True):
                words = [action, "hold" * holds, "chained" * chained]
                name = " ".join(["worker-hook", *filter(None, words)])
                hooks[f"<{name}>"] = scripts.worker_hook(action, sidecars_wait=holds, chained=chained)
                ours = scripts.worker_hook(action, sidecars_wait=holds, chained=chained, process_1_is_wrapper=True)
                hooks[f"<{name.replace('hold', 'beat')}>"] = ours
    return hooks


_PLACEHOLDERS = {
    # The first name of a text counts, where two are alike.
    "<loop>": scripts.LOOP,
    "<parent>": scripts.parent(finds_worker=False),
    "<parent that looks>": scripts.parent(finds_worker=True),
    "<sidecar-hook>": scripts.sidecar_hook(chained=False, has_parent=False),
    "<sidecar-hook chained>": scripts.sidecar_hook(chained=True, has_parent=False),
    "<sidecar-hook parent>": scripts.sidecar_hook(chained=False, has_parent=True),
    "<sidecar-hook chained parent>": scripts.sidecar_hook(chained=True, has_parent=True),
    "<bring-shell>": scripts.COPY_SHELL,
    "<shell-image>": DEFAULT_SHELL_IMAGE,
    **_worker_hooks(),
}
_SHORT = {text: name for name, text in reversed(_PLACEHOLDERS.items())}
_VERSION = "<version>"


@dataclass(frozen=True)
class Case:
    """A pod and what is expected to become of it; everything is worked out once."""

    name: str

    def file(self, part: str) -> Path:
        return FOLDER / f"{self.name}.{part}.yaml"

    @cached_property
    def pod(self) -> Any:
        return _expanded(read_yaml(self.file("pod")))

    @cached_property
    def policy(self) -> Policy:
        file = self.file("policy")
        return msgspec.convert(read_yaml(file) if file.exists() else {}, Policy)

    @cached_property
    def images(self) -> Images:
        file = self.file("images")
        given = read_yaml(file) if file.exists() else {}
        return {
            name: msgspec.convert(image, Unavailable) if "reason" in image else msgspec.convert(image, Image)
            for name, image in given.items()
        }

    @cached_property
    def expected_pod(self) -> Any:
        file = self.file("injected")
        return read_yaml(file) if file.exists() else None

    @cached_property
    def injection(self) -> Injection:
        return inject(self.pod, self.policy, self.images)

    @cached_property
    def injected(self) -> Any:
        return jsonpatch.apply_patch(self.pod, self.injection.patch)

    @cached_property
    def reasons(self) -> dict[str, Any]:
        """What is decided and said, as NAME.reasons.yaml has it."""
        injection = self.injection
        verdict = injection.decision.verdict
        said: dict[str, Any] = {"outcome": injection.decision.outcome.value, "reason": verdict.reason.value}
        if injection.decision.outcome is not Kind.PROTECTED:
            said["message"] = injection.refusal or str(verdict)
        if injection.decision.findings:
            said["findings"] = [_line(finding) for finding in injection.decision.findings]
        if injection.warnings:
            said["warnings"] = injection.warnings
        return said

    def __str__(self) -> str:
        return self.name


def _line(finding: Finding) -> str:
    return f"{finding.reason.value} {finding.container or '-'} {finding.detail}".rstrip()


def all_cases() -> list[Case]:
    files = sorted(FOLDER.rglob(f"*{_POD}"))
    return [Case(file.relative_to(FOLDER).as_posix().removesuffix(_POD)) for file in files]


def read_yaml(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file)


def write_yaml(file: Path, value: Any) -> None:
    yaml = YAML()
    yaml.width = 10_000
    yaml.dump(_laid_out(value), file)


def _laid_out(value: Any) -> Any:
    """Lay a value out for reading: on one line what fits there and holds nothing that is nested."""
    if not isinstance(value, (dict, list)):
        return value
    items = value.values() if isinstance(value, dict) else value
    nested = any(isinstance(item, (dict, list)) for item in items)
    laid_out: Any
    if isinstance(value, dict):
        laid_out = CommentedMap({key: _laid_out(item) for key, item in value.items()})
    else:
        laid_out = CommentedSeq(map(_laid_out, value))
    if not nested and len(json.dumps(value)) <= LINE:
        laid_out.fa.set_flow_style()
    else:
        laid_out.fa.set_block_style()
    return laid_out


def readable(pod: Any) -> Any:
    """Write a pod as people read it: the opposite of _expanded()."""
    if isinstance(pod, dict):
        return {key: _status(value) if key == STATUS_ANNOTATION else readable(value) for key, value in pod.items()}
    if isinstance(pod, list):
        return [readable(item) for item in pod]
    return _SHORT.get(pod, pod) if isinstance(pod, str) else pod


def _status(text: str) -> Any:
    try:
        status = json.loads(text)
    except ValueError:
        return text
    if status.get("version") == __version__:
        status["version"] = _VERSION
    return readable(status)


def _expanded(pod: Any) -> Any:
    if isinstance(pod, dict):
        return {
            key: json.dumps(_expanded(value), separators=(",", ":"), ensure_ascii=False)
            if key == STATUS_ANNOTATION and isinstance(value, dict)
            else _expanded(value)
            for key, value in pod.items()
        }
    if isinstance(pod, list):
        return [_expanded(item) for item in pod]
    return _PLACEHOLDERS.get(pod, __version__ if pod == _VERSION else pod) if isinstance(pod, str) else pod
