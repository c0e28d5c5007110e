"""The only call into the product: it takes a pod, and returns the pod that the API server would store."""

from __future__ import annotations

import copy
import json
import threading
from dataclasses import dataclass
from typing import Any

import jsonpatch

from tests.node.specification import Json


class Refused(Exception):
    """The product refuses the pod; the message is the product's."""


@dataclass(frozen=True)
class Patched:
    """A pod after the product has processed it, and the product's findings."""

    pod: Json
    said: tuple[str, ...]


_ONE_AT_A_TIME = threading.Lock()
"""msgspec fails if two threads convert to a type for the first time at once."""


def patch(pod: Json, stop_signal: str = "") -> Patched:
    """Let the product patch a pod; `stop_signal` is the one in the worker's image.

    The product is imported here, so that the cases can be read and the bare pods run without it.

    Raises:
        Refused: the product refuses the pod.

    """
    from webhook.core.image_config import Image
    from webhook.core.injection import inject
    from webhook.core.policy import Policy

    images: Any = {"worker": Image(stop_signal=stop_signal)} if stop_signal else {}
    with _ONE_AT_A_TIME:
        injection = inject(copy.deepcopy(pod), Policy(), images)
    if injection.refusal:
        raise Refused(injection.refusal)
    findings = (injection.decision.verdict, *injection.decision.findings)
    # In the form that the API server gets.
    patched: Json = jsonpatch.apply_patch(pod, json.loads(json.dumps(injection.patch)))
    return Patched(patched, tuple(f"{finding} [{finding.reason.value}]" for finding in findings))
