import os

import ledger
from celery import Celery

app = Celery("shop", broker=os.environ["REDIS_URL"])


@app.task
def handle(job: str, seconds: float, crash: bool) -> None:
    ledger.handle(job, seconds, crash)
