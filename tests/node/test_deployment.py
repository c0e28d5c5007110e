"""Rolling update and scale-down, like those of the Deployment controller."""

from __future__ import annotations

import threading
import time

from tests.node.conftest import pod, shell
from tests.node.deployment import Deployment
from tests.node.node import Node
from tests.node.specification import Json


def deployment(node: Node, replicas: int) -> Deployment:
    made = Deployment(node, lambda pod: pod, manifest(replicas))
    made.start()
    return made


def manifest(replicas: int) -> Json:
    template = {"metadata": {}, "spec": pod(shell("exec sleep 60"), grace=2)["spec"]}
    return {"metadata": {"name": "web"}, "spec": {"replicas": replicas, "template": template}}


def test_a_rolling_update_keeps_three_quarters_of_the_pods_and_creates_at_most_a_quarter_more(node: Node) -> None:
    web = deployment(node, 8)
    seen: list[tuple[int, int]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            alive = [pod for pod in list(web.pods) if not pod.terminating.is_set()]
            seen.append((sum(pod.ready for pod in alive), len(alive)))
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    old = web.roll_out()
    over.set()
    watcher.join()
    assert len(old) == 8
    assert all(pod.deleted_at for pod in old)
    assert min(ready for ready, _ in seen) >= 6
    assert max(alive for _, alive in seen) <= 10


def test_a_scale_down_deletes_the_surplus_pods(node: Node) -> None:
    web = deployment(node, 3)
    assert len(web.scale(1)) == 2
    assert sum(not pod.terminating.is_set() for pod in web.pods) == 1


def test_every_pod_is_sent_through_admission(node: Node) -> None:
    admitted: list[Json] = []

    def admit(created: Json) -> Json:
        admitted.append(created)
        return created

    Deployment(node, admit, manifest(2)).start()
    assert len(admitted) == 2
