import os
from typing import Any, ClassVar

import ledger
from arq.connections import RedisSettings


async def handle(_context: dict[str, Any], job: str, seconds: float, crash: bool) -> None:
    await ledger.handle_async(job, seconds, crash)


class WorkerSettings:
    functions: ClassVar = [handle]
    redis_settings = RedisSettings.from_dsn(os.environ["REDIS_URL"])
    # Seconds for which the worker waits for the current jobs at a signal; the default of 0 cancels them at once.
    job_completion_wait = 3600
