"""Compares two renderings, object by object and field by field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from tests.deploy.rendered import Manifest

ABSENT = "absent"
Difference = tuple[str, Any, Any]
"""The path of a field, and its values in the two renderings."""


def by_name(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the objects by kind and name, and variables by name, because their order has no meaning."""
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
    """Return the differences field by field, because objects have up to two hundred lines."""
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
    """Remove empty lines: kustomize folds long expressions differently, and adds some."""
    return re.sub(r"\n+", "\n", value) if isinstance(value, str) else value
