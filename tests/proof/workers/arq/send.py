import asyncio
import sys

from arq import create_pool
from ledger import orders
from shop import WorkerSettings


async def send() -> None:
    pool = await create_pool(WorkerSettings.redis_settings)
    for order in orders(sys.argv[1:]):
        await pool.enqueue_job("handle", *order)
    await pool.aclose()


asyncio.run(send())
