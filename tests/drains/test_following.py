"""Pods are followed through all that happens to a connection, and each trouble is said or survived."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import aclosing

import httpx2
import pytest

from tests.drains.api_server import PATIENCE, ApiServer
from tests.drains.pods import pod
from webhook.drains import following
from webhook.drains.following import Change, Gone, Listed, Seen, follow
from webhook.inspection.connection import CannotAsk

LABEL = "graceful-worker/injected=true"
Step = Callable[[], object]


def told(change: Change) -> str:
    match change:
        case Listed(pods):
            return f"listed {' '.join(each['metadata']['name'] for each in pods)}".rstrip()
        case Seen(each):
            return f"seen {each['metadata']['name']}"
        case Gone(each):
            return f"gone {each['metadata']['name']}"


def client_of(address: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=address, trust_env=False)


def followed(address: str, count: int, *steps: Step) -> list[str]:
    """Follow until so much was seen; after each change, the next step is done."""

    async def run() -> list[str]:
        seen: list[str] = []
        doing = []
        async with client_of(address) as client, aclosing(follow(client, LABEL)) as changes:
            async with asyncio.timeout(PATIENCE):
                async for change in changes:
                    seen.append(told(change))
                    if len(seen) == count:
                        await asyncio.gather(*doing)
                        return seen
                    if len(seen) <= len(steps):
                        doing.append(asyncio.ensure_future(asyncio.to_thread(steps[len(seen) - 1])))
        raise AssertionError("it never ends by itself")

    return asyncio.run(run())


def test_pods_are_listed_page_by_page_then_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAGE", 2)
    api = ApiServer()
    api.see(*(pod(name) for name in "abc"))
    with api.served() as address:
        steps = [lambda: api.see(pod("a", deleted=0)), lambda: api.gone(pod("a", deleted=0))]
        assert followed(address, 3, *steps) == ["listed a b c", "seen a", "gone a"]
    assert [request.split()[0] for request in api.requests] == ["list", "list", "watch"]


def test_after_a_dropped_connection_the_watch_goes_on_where_it_was() -> None:
    api = ApiServer()

    def drop() -> None:
        api.until_watched()
        api.drop()
        api.see(pod("a"))

    with api.served() as address:
        assert followed(address, 2, drop) == ["listed", "seen a"]
    assert sum(request.startswith("list") for request in api.requests) == 1


def test_after_an_expired_version_all_pods_are_listed_anew() -> None:
    api = ApiServer()
    api.see(pod("a"), pod("b"))

    def expire() -> None:
        api.until_watched()
        api.pods.pop("a")
        api.expire()

    with api.served() as address:
        assert followed(address, 2, expire) == ["listed a b", "listed b"]


def test_an_api_server_that_comes_back_is_followed_again() -> None:
    api = ApiServer()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    first = api.served(port)
    second = api.served(port)
    address = first.__enter__()

    def restart() -> None:
        api.until_watched()
        first.__exit__(None, None, None)
        api.see(pod("a"))
        second.__enter__()

    try:
        assert followed(address, 2, restart) == ["listed", "seen a"]
    finally:
        second.__exit__(None, None, None)


@pytest.mark.parametrize("code", [401, 403, 429, 500, 503])
def test_an_api_server_that_refuses_for_a_moment_is_followed_again(code: int) -> None:
    api = ApiServer()

    def refuse() -> None:
        api.until_watched()
        api.refused["watch"] = code
        api.drop()
        tries = len(api.requests)
        api.until(lambda: len(api.requests) > tries + 1)
        api.refused.clear()
        api.see(pod("a"))

    with api.served() as address:
        assert followed(address, 2, refuse) == ["listed", "seen a"]


def test_a_right_that_is_taken_away_for_good_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LONGEST_PAUSE", 0.01)
    api = ApiServer()

    def refuse() -> None:
        api.until_watched()
        api.refused["watch"] = 403
        api.drop()

    with api.served() as address, pytest.raises(CannotAsk, match="you may not watch pods in all namespaces"):
        followed(address, 2, refuse)


@pytest.mark.parametrize(
    ("verb", "code", "words"),
    [
        ("list", 401, "does not know you"),
        ("list", 403, "you may not list pods in all namespaces"),
        ("list", 500, "it answers 500"),
        ("watch", 403, "you may not watch pods in all namespaces"),
    ],
)
def test_what_is_refused_at_once_is_said_at_once(verb: str, code: int, words: str) -> None:
    api = ApiServer()
    api.refused[verb] = code
    with api.served() as address, pytest.raises(CannotAsk, match=words):
        followed(address, 2)


def test_nobody_who_listens_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(CannotAsk, match="the API server cannot be asked"):
        followed(address, 1)


@pytest.mark.parametrize("character", ["\x85", "\u2028", "é"])
def test_a_line_ends_where_the_api_server_ends_it(character: str) -> None:
    api = ApiServer()
    ends = {"worker": {"at": 1, "message": f"one{character}two"}}
    with api.served() as address:
        assert followed(address, 2, lambda: api.see(pod("a", deleted=0, ends=ends))) == ["listed", "seen a"]


def test_of_a_pod_only_what_is_read_is_kept() -> None:
    api = ApiServer()
    large = pod("a")
    large["spec"]["containers"][0]["env"] = [{"name": "SECRET", "value": "x"}]
    large["metadata"]["managedFields"] = [{}]
    api.see(large)

    async def first(address: str) -> Change:
        async with client_of(address) as client, aclosing(follow(client, LABEL)) as changes:
            return await anext(changes)

    with api.served() as address:
        listed = asyncio.run(first(address))
    assert isinstance(listed, Listed)
    assert "SECRET" not in str(listed.pods)
    assert "managedFields" not in str(listed.pods)
    assert listed.pods[0]["metadata"]["name"] == "a"
