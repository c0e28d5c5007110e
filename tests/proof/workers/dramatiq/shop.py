import os

import dramatiq
import ledger
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=os.environ["REDIS_URL"]))


@dramatiq.actor
def handle(job: str, seconds: float, crash: bool) -> None:
    ledger.handle(job, seconds, crash)
