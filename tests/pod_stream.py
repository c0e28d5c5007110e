"""A stream of pods that clients create again and again while something else happens to the webhook."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class PodStream:
    """Creates pods until the block ends; `create` returns an error or a warning, and whether the pod is protected."""

    create: Callable[[], tuple[str, bool]]
    clients: int = 1
    pause: float = 0
    """Seconds between two pods of a client."""
    protected: int = 0
    unprotected: int = 0
    """Pods that were created without protection, and without a message."""
    refused: list[str] = field(default_factory=list)
    """The messages about pods that are not protected: errors, or warnings where the pod was created all the same."""
    warnings: list[str] = field(default_factory=list)
    """The messages about pods that are protected."""
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> PodStream:
        self._threads = [threading.Thread(target=self._run) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def _run(self) -> None:
        while not self._over.wait(self.pause):
            message, is_protected = self.create()
            if is_protected:
                self.protected += 1
                self.warnings += [message] if message else []
            elif message:
                self.refused.append(message)
            else:
                self.unprotected += 1

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def assert_unbroken(self, explanation: str = "") -> None:
        """Check that pods were created, and that each of them was protected."""
        assert (self.refused, self.unprotected) == ([], 0), explanation
        assert self.protected > 0
