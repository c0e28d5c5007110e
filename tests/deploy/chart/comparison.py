"""Compares two renderings, object by object and field by field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from tests.deploy.rendered import Manifest

ABSENT = "absent"
Difference = tuple[str, Any, Any]
"""Where it is, and what stands there in the one and in the other."""


def by_name(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the objects by what names them, without the order of variables, which means nothing."""
    found = {}
    for manifest in deepcopy(manifests):
        if manifest["kind"] == "Deployment":
            for container in manifest["spec"]["template"]["spec"]["containers"]:
                variables = {variable["name"]: variable for variable in container["env"]}
                assert len(variables) == len(container["env"])
                container["env"] = variables
        found[f"{manifest['kind']} {manifest['metadata']['name']}"] = manifest
    assert len(found) == len(manifests)
    return found


def differences(one: Any, other: Any, where: str = "") -> Iterator[Difference]:
    """Return the differences field by field: the objects have two hundred lines."""
    if isinstance(one, dict) and isinstance(other, dict):
        for field in sorted(one.keys() | other.keys()):
            yield from differences(one.get(field, ABSENT), other.get(field, ABSENT), f"{where}.{field}")
    elif isinstance(one, list) and isinstance(other, list):
        for number in range(max(len(one), len(other))):
            before, after = (each[number] if number < len(each) else ABSENT for each in (one, other))
            yield from differences(before, after, f"{where}[{number}]")
    elif unfolded(one) != unfolded(other):
        yield where, one, other


def unfolded(value: Any) -> Any:
    """Leave out empty lines: kustomize folds long expressions anew, and adds some."""
    return re.sub(r"\n+", "\n", value) if isinstance(value, str) else value
