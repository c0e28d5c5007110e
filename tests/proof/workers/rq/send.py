import sys

from ledger import orders
from redis import Redis
from rq import Queue
from settings import REDIS_URL
from shop import handle

queue = Queue(connection=Redis.from_url(REDIS_URL))
queue.enqueue_many([Queue.prepare_data(handle, order) for order in orders(sys.argv[1:])])
