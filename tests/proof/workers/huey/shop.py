import os

import ledger
from huey import RedisHuey

huey = RedisHuey("shop", url=os.environ["REDIS_URL"])


@huey.task()
def handle(job: str, seconds: float, crash: bool) -> None:
    ledger.handle(job, seconds, crash)
