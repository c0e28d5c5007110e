"""Registries that are broken, slow, busy or hostile: a lookup always returns a result, which says what to do."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.images.lookups import FakeClock, expect_image, expect_unavailable, look_up, open_lookup, trust
from tests.images.oci_images import DOCKER, OCI, Blob, OciImage, as_json, build_image, build_index
from tests.images.scripted_registry import Handler, ReceivedRequest, RegistryWithImage, Reply, ScriptedRegistry, serve
from webhook.core.image_config import Image, Unavailable
from webhook.core.reasons import Reason

BUILT = build_image({"Entrypoint": ["consume"]})
CONFIG = BUILT.blobs[0]


def look_up_once(
    handler: Handler, authority: trustme.CA, ca_file: Path, version: str = "", seconds: float = 8.0
) -> tuple[Image | Unavailable, ScriptedRegistry]:
    async def scenario() -> tuple[Image | Unavailable, ScriptedRegistry]:
        async with serve(handler, authority) as server, open_lookup(trust(ca_file)) as lookup:
            return await look_up(lookup, f"{server.host}/team/app{version}", seconds), server

    return asyncio.run(scenario())


def change_blob(reply: Callable[[Reply], Reply]) -> Handler:
    """Return a registry whose responses for blobs are changed."""
    kept = RegistryWithImage(BUILT)
    return lambda request: reply(kept(request)) if "/blobs/" in request.path else kept(request)


def change_manifest(reply: Callable[[Reply], Reply]) -> Handler:
    kept = RegistryWithImage(BUILT)
    return lambda request: reply(kept(request)) if "/manifests/" in request.path else kept(request)


def with_manifest(document: Any, media_type: str = OCI["manifest"]) -> Handler:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return RegistryWithImage(OciImage(Blob(media_type, content), BUILT.blobs))


def once(first: Reply) -> Handler:
    """Return this response for one request, and the usual ones for all others."""
    replies = [first]
    return lambda request: replies.pop() if replies else RegistryWithImage(BUILT)(request)


WRONG = {
    "blob": (change_blob(lambda reply: Reply(200, reply.headers, reply.content + b" ")), ""),
    "tag": (change_manifest(lambda reply: Reply(200, reply.headers, reply.content + b" ")), ""),
    "digest": (
        change_manifest(lambda reply: Reply(200, (), BUILT.manifest.content + b" ")),
        f"@{BUILT.digest}",
    ),
    "long-digest": (change_manifest(lambda reply: Reply(200, (), BUILT.manifest.content)), f"@sha512:{'0' * 128}"),
}


@pytest.mark.parametrize("name", WRONG)
def test_content_that_does_not_match_its_digest_is_rejected(authority: trustme.CA, ca_file: Path, name: str) -> None:
    handler, version = WRONG[name]
    detail = expect_unavailable(look_up_once(handler, authority, ca_file, version)[0], Reason.IMAGE_INVALID)
    assert "returned content that does not match sha" in detail


def test_a_digest_of_sha512_is_verified_too(authority: trustme.CA, ca_file: Path) -> None:
    digest = f"sha512:{hashlib.sha512(BUILT.manifest.content).hexdigest()}"
    kept = RegistryWithImage(BUILT)
    kept.manifests[digest] = BUILT.manifest
    expect_image(look_up_once(kept, authority, ca_file, f"@{digest}")[0])


def test_a_docker_content_digest_of_an_unknown_kind_is_ignored(authority: trustme.CA, ca_file: Path) -> None:
    handler = change_manifest(lambda reply: Reply(200, (("Docker-Content-Digest", "md5:abc"),), reply.content))
    expect_image(look_up_once(handler, authority, ca_file)[0])


TOO_LONG = {
    "told": change_blob(lambda reply: Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}")),
    "absurd": change_blob(lambda reply: Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n{}" % (b"9" * 15))),
    "not-told": change_blob(lambda reply: Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (5 << 20))),
    "chunked": change_blob(
        lambda reply: Reply(
            raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"100000\r\n%b\r\n" % (b" " * (1 << 20)) * 5
        )
    ),
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_no_document_is_read_beyond_its_limit(authority: trustme.CA, ca_file: Path, name: str) -> None:
    assert "more than 4096 KiB" in expect_unavailable(
        look_up_once(TOO_LONG[name], authority, ca_file)[0], Reason.IMAGE_INVALID
    )


def test_a_document_that_is_shorter_than_its_content_length_is_rejected(authority: trustme.CA, ca_file: Path) -> None:
    handler = change_blob(lambda reply: Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n{}"))
    assert "incomplete" in expect_unavailable(look_up_once(handler, authority, ca_file)[0], Reason.REGISTRY_FAILED)


def test_a_document_that_is_longer_than_its_content_length_is_rejected(authority: trustme.CA, ca_file: Path) -> None:
    handler = change_blob(lambda reply: Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + reply.content))
    expect_unavailable(look_up_once(handler, authority, ca_file)[0], Reason.IMAGE_INVALID)


def test_compressed_content_is_neither_requested_nor_read(authority: trustme.CA, ca_file: Path) -> None:
    result, server = look_up_once(change_blob(lambda r: r.with_header("Content-Encoding", "gzip")), authority, ca_file)
    assert "compressed" in expect_unavailable(result, Reason.IMAGE_INVALID)
    assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}


def manifest(**more: Any) -> dict[str, Any]:
    return {**json.loads(BUILT.manifest.content), **more}


ODD_MANIFESTS = {
    "empty": b"",
    "no-json": b"<html>Please log in</html>",
    "no-text": b"\xff\xfe{}",
    "list": b"[]",
    "deep": b'{"unknown":' + b"[" * 100_000,
    "deep-annotations": b'{"annotations":' + b'{"a":' * 100_000,
    "nothing": {},
    "config-of-wrong-type": manifest(config="sha256:abc"),
    "layers-of-wrong-type": manifest(layers={"a": 1}),
    "no-layers": manifest(layers=None),
    "digest-of-wrong-type": manifest(config={"digest": 7, "mediaType": OCI["config"]}),
    "digest-that-is-none": manifest(config={"digest": "../../secret", "mediaType": OCI["config"]}),
    "digest-unknown": manifest(config={"digest": "md5:d41d8cd98f00b204e9800998ecf8427e", "mediaType": OCI["config"]}),
    "both": manifest(manifests=[]),
    "called-an-index": manifest(mediaType=OCI["index"]),
    "schema-1": {"schemaVersion": 1, "fsLayers": [], "history": []},
}


@pytest.mark.parametrize("name", ODD_MANIFESTS)
def test_a_malformed_manifest_is_reported_as_invalid(authority: trustme.CA, ca_file: Path, name: str) -> None:
    expect_unavailable(look_up_once(with_manifest(ODD_MANIFESTS[name]), authority, ca_file)[0], Reason.IMAGE_INVALID)


def test_the_error_for_schema_1_says_to_push_the_image_again(authority: trustme.CA, ca_file: Path) -> None:
    handler = with_manifest({"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+prettyjws")
    assert "push it again" in expect_unavailable(look_up_once(handler, authority, ca_file)[0], Reason.IMAGE_INVALID)


ODD_CONFIGS = {
    "empty": b"",
    "list": b"[]",
    "process-of-wrong-type": b'{"config": []}',
    "entrypoint-of-wrong-type": b'{"config": {"Entrypoint": "php worker"}}',
    "word-of-wrong-type": b'{"config": {"Cmd": ["php", 7]}}',
    "deep": b'{"rootfs":' + b"[" * 100_000,
    "long-command": json.dumps({"config": {"Cmd": ["x" * 40_000]}}).encode(),
    "long-signal": json.dumps({"config": {"StopSignal": "x" * 100}}).encode(),
}


@pytest.mark.parametrize("name", ODD_CONFIGS)
def test_a_malformed_configuration_is_reported_as_invalid(authority: trustme.CA, ca_file: Path, name: str) -> None:
    config = Blob(OCI["config"], ODD_CONFIGS[name])
    document = manifest(config=config.descriptor())
    handler = RegistryWithImage(OciImage(as_json(OCI["manifest"], document), (config,)))
    expect_unavailable(look_up_once(handler, authority, ca_file)[0], Reason.IMAGE_INVALID)


def nested(depth: int) -> OciImage:
    built = BUILT
    for level in range(depth):
        built = build_index({"linux/amd64" if level == 0 else "": built}, DOCKER if level % 2 else OCI)
    return built


@pytest.mark.parametrize("depth", [1, 2])
def test_an_index_may_contain_an_index(authority: trustme.CA, ca_file: Path, depth: int) -> None:
    expect_image(look_up_once(RegistryWithImage(nested(depth)), authority, ca_file)[0])


def test_an_index_may_not_be_nested_more_deeply(authority: trustme.CA, ca_file: Path) -> None:
    assert "nested" in expect_unavailable(
        look_up_once(RegistryWithImage(nested(3)), authority, ca_file)[0], Reason.IMAGE_INVALID
    )


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_retried_once(authority: trustme.CA, ca_file: Path, status: int) -> None:
    expect_image(look_up_once(once(Reply(status)), authority, ca_file)[0])
    result, server = look_up_once(lambda request: Reply(status), authority, ca_file)
    assert expect_unavailable(result, Reason.REGISTRY_FAILED) == f"{server.host} returned {status}"
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [204, 206, 304, 400, 418])
def test_any_other_status_is_reported(authority: trustme.CA, ca_file: Path, status: int) -> None:
    result, server = look_up_once(lambda request: Reply(status), authority, ca_file)
    assert expect_unavailable(result, Reason.REGISTRY_FAILED) == f"{server.host} returned {status}"


def test_a_broken_connection_is_retried_once(authority: trustme.CA, ca_file: Path) -> None:
    expect_image(look_up_once(once(Reply(raw=b"")), authority, ca_file)[0])
    result, server = look_up_once(lambda request: Reply(raw=b""), authority, ca_file)
    assert "incomplete" in expect_unavailable(result, Reason.REGISTRY_FAILED)
    assert len(server.requests) == 2


@pytest.mark.parametrize("raw", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" * 9999])
def test_a_response_that_is_not_http_is_reported(authority: trustme.CA, ca_file: Path, raw: bytes) -> None:
    assert "not HTTP" in expect_unavailable(
        look_up_once(lambda request: Reply(raw=raw), authority, ca_file)[0], Reason.REGISTRY_FAILED
    )


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_registry_gets_another_request_after_its_retry_after_time(
    authority: trustme.CA, ca_file: Path, status: int
) -> None:
    begun = time.monotonic()
    expect_image(look_up_once(once(Reply(status, (("Retry-After", "1"),))), authority, ca_file)[0])
    assert time.monotonic() - begun >= 1


def test_a_busy_registry_gets_no_request_during_a_long_retry_after_time(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        clock = FakeClock()
        busy = Reply(429, (("Retry-After", "120"),))
        async with (
            serve(lambda request: busy, authority) as server,
            open_lookup(trust(ca_file), clock=clock) as lookup,
        ):
            for clock.seconds, count in ((0, 1), (119, 1), (121, 2)):
                detail = expect_unavailable(await look_up(lookup, f"{server.host}/team/app"), Reason.REGISTRY_FAILED)
                assert detail == f"{server.host} returned 429 (too many requests); retry in 120 s"
                assert len(server.requests) == count

    asyncio.run(scenario())


def test_a_retry_after_time_is_limited_to_five_minutes(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        clock = FakeClock()
        day = email.utils.format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1), usegmt=True)
        async with (
            serve(lambda request: Reply(429, (("Retry-After", day),)), authority) as server,
            open_lookup(trust(ca_file), clock=clock) as lookup,
        ):
            for clock.seconds, count in ((0, 1), (299, 1), (301, 2)):
                expect_unavailable(await look_up(lookup, f"{server.host}/team/app"), Reason.REGISTRY_FAILED)
                assert len(server.requests) == count

    asyncio.run(scenario())


def test_a_lookup_at_a_registry_that_hangs_times_out(authority: trustme.CA, ca_file: Path) -> None:
    async def hang(request: ReceivedRequest) -> Reply:
        await asyncio.sleep(60)
        return Reply()

    begun = time.monotonic()
    expect_unavailable(look_up_once(hang, authority, ca_file, seconds=0.3)[0], Reason.REGISTRY_TOO_SLOW)
    assert time.monotonic() - begun < 30


def test_a_refused_connection_is_reported(ca_file: Path) -> None:
    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), None) as server:
            host = server.host
        async with open_lookup(trust(ca_file)) as lookup:
            result = await look_up(lookup, f"{host}/team/app")
            assert expect_unavailable(result, Reason.REGISTRY_FAILED) == f"{host}: connection refused"

    asyncio.run(scenario())


def test_a_host_without_an_address_is_reported(ca_file: Path) -> None:
    async def scenario() -> None:
        async with open_lookup(trust(ca_file)) as lookup:
            # Too long for DNS, so that no DNS server is queried.
            result = await look_up(lookup, f"{'a' * 64}.test/team/app")
            assert "its name is not found" in expect_unavailable(result, Reason.REGISTRY_FAILED)

    asyncio.run(scenario())


def test_a_certificate_for_another_name_is_not_trusted(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), authority) as server, open_lookup(trust(ca_file)) as lookup:
            name = server.host.replace("127.0.0.1", "localhost")
            assert "not trusted" in expect_unavailable(
                await look_up(lookup, f"{name}/team/app"), Reason.REGISTRY_FAILED
            )
            assert not server.requests

    asyncio.run(scenario())


def test_cookies_are_not_kept(authority: trustme.CA, ca_file: Path) -> None:
    result, server = look_up_once(change_manifest(lambda r: r.with_header("Set-Cookie", "a=b")), authority, ca_file)
    expect_image(result)
    assert not any("cookie" in request.headers for request in server.requests)


def test_a_busy_registry_gets_no_further_request_when_a_tag_is_revalidated(
    authority: trustme.CA, ca_file: Path
) -> None:
    async def scenario() -> None:
        clock = FakeClock()
        kept = RegistryWithImage(BUILT)

        def respond(request: ReceivedRequest) -> Reply:
            return Reply(429, (("Retry-After", "60"),)) if request.method == "HEAD" else kept(request)

        async with serve(respond, authority) as server, open_lookup(trust(ca_file), clock=clock) as lookup:
            expect_image(await look_up(lookup, f"{server.host}/team/app"))
            clock.seconds = 301
            assert "429" in expect_image(await look_up(lookup, f"{server.host}/team/app")).stale
            assert server.count("GET", "manifests") == 1

    asyncio.run(scenario())


def test_only_the_beginning_of_a_long_error_response_is_read(authority: trustme.CA, ca_file: Path) -> None:
    result = look_up_once(lambda request: Reply(404, content=b"x" * (8 << 20)), authority, ca_file)[0]
    expect_unavailable(result, Reason.IMAGE_NOT_FOUND)
