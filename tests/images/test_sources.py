"""The table and the registry together: who is asked, how often, and what is left of the time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from webhook.core.image_config import Image, Images, Unavailable
from webhook.core.pod import Pod, read_pod
from webhook.core.reasons import Reason
from webhook.images.command_table import CommandTable, Row
from webhook.images.sources import ImageSources

POD = read_pod({"spec": {"containers": [{"name": "a", "image": "one"}, {"name": "b", "image": "two"}]}})
TABLE = CommandTable((Row("one", command=("/app/one",)),))


class Registry:
    """Tells the same of every image, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], float]] = []
        self.is_closed = False

    async def find(self, pod: Pod, names: Sequence[str], namespace: str, seconds: float) -> Images:
        self.asked.append((tuple(names), seconds))
        return dict.fromkeys(names, Image(("/app/other",)))

    async def aclose(self) -> None:
        self.is_closed = True


class Making:
    """Makes registries, which takes a while; the first attempts may fail."""

    def __init__(self, seconds: float = 0.0, failures: int = 0) -> None:
        self.made: list[Registry] = []
        self._seconds = seconds
        self._failures = failures

    async def __call__(self) -> Registry:
        await asyncio.sleep(self._seconds)
        if self._failures:
            self._failures -= 1
            raise OSError("no such file")
        self.made.append(Registry())
        return self.made[-1]


def test_what_the_table_says_is_asked_of_nobody_else() -> None:
    making = Making()
    found = asyncio.run(ImageSources(TABLE, making).find(POD, ["a", "b"], "", 5))
    assert found == {"a": Image(("/app/one",), source="the table: one"), "b": Image(("/app/other",))}
    assert [names for names, _ in making.made[0].asked] == [("b",)]


def test_without_a_registry_the_rest_stays_unknown() -> None:
    found = asyncio.run(ImageSources(TABLE, None).find(POD, ["b"], "", 5))
    assert found == {"b": Unavailable(Reason.REGISTRY_OFF)}


def test_many_at_once_share_one_registry_which_is_closed_in_the_end() -> None:
    making = Making(seconds=0.05)

    async def scenario() -> None:
        sources = ImageSources(TABLE, making)
        await asyncio.gather(*(sources.find(POD, ["b"], "", 5) for _ in range(40)))
        await sources.aclose()

    asyncio.run(scenario())
    (registry,) = making.made
    assert len(registry.asked) == 40
    assert registry.is_closed


def test_the_time_that_it_takes_to_make_the_registry_is_gone() -> None:
    making = Making(seconds=0.2)
    asyncio.run(ImageSources(TABLE, making).find(POD, ["b"], "", 5))
    assert making.made[0].asked[0][1] < 4.85


def test_a_registry_that_could_not_be_made_is_made_the_next_time() -> None:
    making = Making(failures=1)

    async def scenario() -> Images:
        sources = ImageSources(TABLE, making)
        with pytest.raises(OSError, match="no such file"):
            await sources.find(POD, ["b"], "", 5)
        return await sources.find(POD, ["b"], "", 5)

    assert asyncio.run(scenario()) == {"b": Image(("/app/other",))}


def test_what_nobody_has_asked_for_is_closed_without_being_made() -> None:
    making = Making()
    asyncio.run(ImageSources(TABLE, making).aclose())
    assert making.made == []
