"""Send a job per argument: ID:SECONDS or ID:SECONDS:crash."""

import os
import socket
import sys
from urllib.parse import urlsplit

redis = urlsplit(os.environ["REDIS_URL"])
with socket.create_connection((redis.hostname, redis.port or 6379)) as connection:
    connection.sendall(f"RPUSH jobs {' '.join(sys.argv[1:])}\r\n".encode())
    reply = connection.makefile("rb").readline()
    if not reply.startswith(b":"):
        raise SystemExit(f"Redis says {reply!r}")
