"""The schemas of Kubernetes: the oldest release that is supported, and the newest that is known."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema
from kubernetes_validate.utils import latest_version, schema_contents
from referencing import Registry, Resource

OLDEST = "1.30.0"
RELEASES = (OLDEST, latest_version())


@cache
def _validator(release: str) -> jsonschema.Draft202012Validator:
    # kubernetes_validate.validate() reads its files anew for every object.
    folder = f"kubernetes-json-schema/v{release}-local-strict"
    schema = schema_contents(f"{folder}/pod-v1.json", release)
    definitions = schema_contents(f"{folder}/_definitions.json", release)
    registry = Resource.from_contents(definitions) @ (Resource.from_contents(schema) @ Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


def faults(pod: Any, release: str) -> list[str]:
    """Return what the strict schema of a release finds wrong with a pod: unknown fields are wrong, too."""
    return [f"{error.json_path}: {error.message[:200]}" for error in _validator(release).iter_errors(pod)]
