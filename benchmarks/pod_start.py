"""How much an injected shell delays the start of a pod, measured in the cluster of KUBECONFIG.

    python -m benchmarks.pod_start IMAGE SHELL_IMAGE [ROUNDS]

IMAGE has /bin/sh and GNU's date; both images should be on the node already. In each round three pods are created: with
the image's own shell, with one that an init container brings, and with one in an image volume.
What counts is the time from the request that creates it to the first thing that its worker does.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any, cast

import jsonpatch
from lightkube import Client
from lightkube.codecs import from_dict
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, Pod

from webhook.core.injection import inject
from webhook.core.policy import Policy, ShellSource

NAMESPACE = "graceful-worker-pod-start"
TIMEOUT_SECONDS = 60.0
VARIANTS = {
    "its own shell": ({}, ShellSource.INIT_CONTAINER),
    **{source.value: ({"graceful-worker/shell": "injected"}, source) for source in ShellSource},
}


def manifest(name: str, image: str, shell_image: str, annotations: dict[str, str], source: ShellSource) -> Any:
    """Return a pod as the webhook patches it."""
    container = {"name": "worker", "image": image, "command": ["/bin/sh", "-c", "date +%s.%N; exec sleep 60"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": {"graceful-worker/mode": "signal", **annotations}},
        "spec": {"containers": [container]},
    }
    policy = Policy(grace_period=1, shell_image=shell_image, shell_source=source)
    return jsonpatch.apply_patch(pod, inject(pod, policy).patch)


def seconds_to_start(client: Client, pod: Any) -> float:
    """Create a pod, and return the time until its worker runs."""
    name = pod["metadata"]["name"]
    begun = time.time()
    client.create(cast("Pod", from_dict(pod)), namespace=NAMESPACE)
    while time.time() < begun + TIMEOUT_SECONDS:
        status = client.get(Pod, name, namespace=NAMESPACE).status
        if status and status.phase == "Running":
            lines = list(client.log(name, namespace=NAMESPACE, container="worker"))
            if lines:
                client.delete(Pod, name, namespace=NAMESPACE, grace_period=0)
                return float(lines[0]) - begun
        time.sleep(0.1)
    raise TimeoutError(f"{name} does not run")


def main() -> None:
    """Measure all variants in turn, and print the times."""
    image, shell_image, *rest = sys.argv[1:]
    client = Client()
    client.create(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    try:
        for number in range(int(rest[0]) if rest else 10):
            for place, (name, variant) in enumerate(VARIANTS.items()):
                pod = manifest(f"pod-{number}-{place}", image, shell_image, *variant)
                times[name].append(seconds_to_start(client, pod))
                time.sleep(1)
    finally:
        client.delete(Namespace, NAMESPACE)
    for name, measured in times.items():
        low, middle, high = min(measured), statistics.median(measured), max(measured)
        print(f"{name}: median {middle:.2f} s, {low:.2f} to {high:.2f} s in {len(measured)} starts")


if __name__ == "__main__":
    main()
