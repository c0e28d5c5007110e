"""A watch that serves its metrics, with the changes of pods that a test supplies."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from tests.drains.pods import START
from webhook.drains.reflector import PodChange, PodUpdated
from webhook.watch.http_server import HttpServer
from webhook.watch.main import DrainWatch


class Served:
    """A watch that handles the changes that a test passes to `see`, and serves its metrics."""

    def __init__(self) -> None:
        self.watch = DrainWatch()
        self.watch.unprotected._start = START
        self._server = HttpServer(self.watch.routes())
        self._server.listen("127.0.0.1", 0)
        self.port = self._server.port
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._server.run())
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        self._loop.run_until_complete(asyncio.gather(self._task, return_exceptions=True))
        self._loop.close()

    def see(self, *changes: PodChange) -> None:
        for change in changes:
            self._loop.call_soon_threadsafe(self.watch.drains.handle, change)

    def see_unprotected(self, raw: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self.watch.unprotected.handle, PodUpdated(raw))

    def fail(self) -> None:
        self.watch.watches["protected"].failures += 5

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
