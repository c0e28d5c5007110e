"""The AdmissionReviews to send: 64 different ones, the same in every run, and ones of any size."""

from __future__ import annotations

import copy
import json
import random
import re
import uuid
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("review.json")
COUNT = 64
"""Different reviews, as if from that many templates; load_generator.lua makes each request unique."""
ALIKE = "alike"
"""Each pod is equivalent to one of these, as in a rollout."""
RELEASE = "release"
"""Each differs from one of these in a checksum and the tag of an image: the first pod of a new release."""
UNLIKE = "unlike"
"""Each comes from a new template: its worker's name and an argument differ, too."""
COMMANDS = (
    ["php", "bin/console", "messenger:consume", "async", "--memory-limit=256M", "-vv"],
    ["php", "artisan", "queue:work", "redis", "--queue=orders", "--tries=3"],
    ["celery", "--app=shop.orders", "worker", "--concurrency=2", "--loglevel=INFO"],
    ["bundle", "exec", "sidekiq", "-q", "orders", "-c", "5"],
    ["rq", "worker", "--with-scheduler", "orders"],
    ["/app/bin/work", "--queue=orders", "--one-by-one", "--verbose"],
)
"""What the workers run: known frameworks of both modes, and an unknown program."""

Review = dict[str, Any]
_OF_TEMPLATE = re.compile(rb'("checksum/configuration":"|"name":"worker-|"--id=).{6}')


def reviews(count: int = COUNT) -> list[Review]:
    """Return different reviews of a pod with three containers, about 11 KB each."""
    template = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    return [_variant(template, number) for number in range(count)]


def encoded(review: Review) -> bytes:
    """Encode a review as the API server does: compact, with a line feed at the end."""
    return json.dumps(review, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def with_own_template(body: bytes, number: int) -> bytes:
    """Return a review as if of another template, for each number: no cached decision applies."""
    return _OF_TEMPLATE.sub(b"\\g<1>%06x" % number, body)


def review_of_size(containers: int, size: int = 0) -> Review:
    """Return a review of a pod with this many containers, filled up to this many bytes with environment variables."""
    review: Review = copy.deepcopy(json.loads(TEMPLATE.read_text(encoding="utf-8")))
    spec = review["request"]["object"]["spec"]
    worker, sidecar, *others = spec["containers"]
    copies = [{**copy.deepcopy(sidecar), "name": f"nginx-{number}"} for number in range(containers - 3)]
    spec["containers"] = [worker, sidecar, *others, *copies][:containers]
    missing = size - len(encoded(review))
    value = "v" * 70
    number = 0
    while missing > 0:
        variable = {"name": f"SETTING_{number:05d}", "value": value}
        spec["containers"][number % containers]["env"].append(variable)
        missing -= len(json.dumps(variable, separators=(",", ":"))) + 1
        number += 1
    return review


def _variant(template: Review, number: int) -> Review:
    """Change everything that differs between two pods of a real cluster: names, UIDs, hashes, some values."""
    chance = random.Random(number)  # noqa: S311 - nothing is secret here, and every run is to send the same
    replica_set = f"orders-{number:02d}-{chance.getrandbits(40):010x}"
    owner, token = (
        str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        f"kube-api-access-{chance.getrandbits(20):05x}",
    )
    text = json.dumps(template)
    text = text.replace("orders-worker-7c9d8b6f54", replica_set).replace("7c9d8b6f54", replica_set[-10:])
    text = text.replace("5b8f0a52-8c1e-4a7e-9a65-0d8a3f7f2c11", owner).replace("kube-api-access-x7k2p", token)
    text = text.replace("2.41.0", f"2.{number}.{chance.randrange(100)}")
    review: Review = json.loads(text)
    request = review["request"]
    request["uid"] = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    pod = request["object"]
    pod["metadata"]["annotations"]["checksum/configuration"] = f"{chance.getrandbits(256):064x}"
    worker = pod["spec"]["containers"][0]
    command = COMMANDS[number % len(COMMANDS)]
    worker["name"] = "worker-000000"
    worker["command"], worker["args"] = command[:2], [*command[2:], "--id=000000"]
    worker["env"].append({"name": "SHARD", "value": f"{number:02d}-{chance.getrandbits(32):08x}"})
    return review
