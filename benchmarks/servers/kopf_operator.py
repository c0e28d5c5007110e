"""kopf's admission server without a cluster: its webhook server and its engine, as its operator joins them.

`python kopf_operator.py PORT CERTIFICATE KEY`. An operator learns from the API server that pods exist; this one knows.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from typing import Any

import kopf
from kopf._cogs.configs.configuration import OperatorSettings
from kopf._cogs.structs.ephemera import Memo
from kopf._cogs.structs.references import Insights, Resource
from kopf._core.engines.admission import serve_admission_request
from kopf._core.engines.indexing import OperatorIndexers
from kopf._core.reactor.inventory import ResourceMemories
from protection import protect

PODS = Resource(
    group="", version="v1", plural="pods", kind="Pod", namespaced=True, preferred=True, verbs=frozenset({"patch"})
)


@kopf.on.mutate("pods", operation="CREATE")
def mutate(body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:
    """Protect a pod: kopf turns the changed fields into the JSON Patch."""
    pod = protect(kopf_copy(body))
    patch.metadata["labels"] = {"sidecar.istio.io/inject": "false"}
    for field in ("terminationGracePeriodSeconds", "volumes", "containers"):
        patch.spec[field] = pod["spec"][field]


def kopf_copy(body: Any) -> Any:
    """Return a read-only view as new dicts and lists."""
    if isinstance(body, list):
        return [kopf_copy(item) for item in body]
    return {key: kopf_copy(body[key]) for key in body} if hasattr(body, "keys") else body


async def serve(port: int, certificate: str, key: str) -> None:
    """Serve until the process is ended."""
    insights = Insights()
    insights.webhook_resources.add(PODS)
    answer = functools.partial(
        serve_admission_request,
        settings=OperatorSettings(),
        memories=ResourceMemories(),
        memobase=Memo(),
        registry=kopf.get_default_registry(),
        insights=insights,
        indices=OperatorIndexers().indices,
    )
    server = kopf.WebhookServer(addr="127.0.0.1", port=port, certfile=certificate, pkeyfile=key)
    async for _ in server(answer):
        print(f"kopf serves on {port}", flush=True)


kopf.configure()
asyncio.run(serve(int(sys.argv[1]), *sys.argv[2:]))
