"""A worker without a framework: it handles one message, if one arrives within 5 s, and exits."""

import os
import socket
from urllib.parse import urlsplit

from ledger import handle, orders

redis = urlsplit(os.environ["REDIS_URL"])
with socket.create_connection((redis.hostname, redis.port or 6379)) as connection:
    connection.sendall(b"BLPOP jobs 5\r\n")
    reply = connection.makefile("rb")
    found = reply.readline()  # *2: the list's name and the message, each after its length; *-1: no message
    if found == b"*2\r\n":
        message = [reply.readline() for _ in range(4)][-1]
        handle(*next(orders([message.decode().rstrip()])))
    elif found != b"*-1\r\n":
        raise SystemExit(f"Redis says {found!r}")
