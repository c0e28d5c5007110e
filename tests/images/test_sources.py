"""The command table and the registry together: which is used, how often, and how much time is left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.images.lookups import expect_unavailable
from webhook.core.image_config import Image, Images, Unavailable
from webhook.core.pod import Pod, read_pod
from webhook.core.reasons import Reason
from webhook.images.command_table import CommandTable, Row
from webhook.images.sources import ImageSources

POD = read_pod({"spec": {"containers": [{"name": "a", "image": "one"}, {"name": "b", "image": "two"}]}})
TABLE = CommandTable((Row("one", command=("/app/one",)),))


class Registry:
    """A registry that returns the same command for every image, and records the requests."""

    def __init__(self) -> None:
        self.requested: list[tuple[tuple[str, ...], float]] = []
        self.is_closed = False

    async def find(self, pod: Pod, names: Sequence[str], namespace: str, seconds: float) -> Images:
        self.requested.append((tuple(names), seconds))
        return dict.fromkeys(names, Image(("/app/other",)))

    async def aclose(self) -> None:
        self.is_closed = True


class SlowFactory:
    """Creates registries after a delay; the first attempts may fail."""

    def __init__(self, seconds: float = 0.0, failures: int = 0) -> None:
        self.created: list[Registry] = []
        self._seconds = seconds
        self._failures = failures

    async def __call__(self) -> Registry:
        await asyncio.sleep(self._seconds)
        if self._failures:
            self._failures -= 1
            raise OSError("no such file")
        self.created.append(Registry())
        return self.created[-1]


def test_an_image_in_the_table_is_not_looked_up_at_the_registry() -> None:
    factory = SlowFactory()
    found = asyncio.run(ImageSources(TABLE, factory).find(POD, ["a", "b"], "", 5))
    assert found == {"a": Image(("/app/one",), source="the table: one"), "b": Image(("/app/other",))}
    assert [names for names, _ in factory.created[0].requested] == [("b",)]


def test_without_a_registry_all_other_images_are_unavailable() -> None:
    found = asyncio.run(ImageSources(TABLE, None).find(POD, ["b"], "", 5))
    assert found == {"b": Unavailable(Reason.REGISTRY_OFF)}


def test_concurrent_lookups_share_one_registry_which_is_closed_at_the_end() -> None:
    factory = SlowFactory(seconds=0.05)

    async def scenario() -> None:
        sources = ImageSources(TABLE, factory)
        await asyncio.gather(*(sources.find(POD, ["b"], "", 5) for _ in range(40)))
        await sources.aclose()

    asyncio.run(scenario())
    (registry,) = factory.created
    assert len(registry.requested) == 40
    assert registry.is_closed


def test_the_time_to_create_the_registry_counts_as_waiting_time() -> None:
    factory = SlowFactory(seconds=0.2)
    asyncio.run(ImageSources(TABLE, factory).find(POD, ["b"], "", 5))
    assert factory.created[0].requested[0][1] < 4.85


def test_a_registry_that_could_not_be_created_is_created_the_next_time() -> None:
    factory = SlowFactory(failures=1)

    async def scenario() -> Images:
        sources = ImageSources(TABLE, factory)
        first = await sources.find(POD, ["a", "b"], "", 5)
        assert isinstance(first["a"], Image)
        assert "OSError" in expect_unavailable(first["b"], Reason.REGISTRY_FAILED)
        return await sources.find(POD, ["b"], "", 5)

    assert asyncio.run(scenario()) == {"b": Image(("/app/other",))}


def test_closing_unused_sources_creates_no_registry() -> None:
    factory = SlowFactory()
    asyncio.run(ImageSources(TABLE, factory).aclose())
    assert factory.created == []
