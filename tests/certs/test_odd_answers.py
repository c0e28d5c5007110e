"""Whatever the API server responds, certificates are still managed, and failures are counted and logged."""

from __future__ import annotations

import asyncio
import base64
import datetime
import gzip
import json
import textwrap
import tracemalloc

import pytest

from certs import errors, retry
from certs.api_server import Limits
from certs.authority import NOT_BEFORE, Authority
from certs.ca_secret import CaSecret, write_data
from certs.clock import wall_clock
from certs.metrics import CertificateMetrics
from tests.certs.odd_api_server import REQUEST_KINDS, Response, encoded, endless, full_response, raw
from tests.certs.scene import Scene

WORDS = "words-that-nobody-may-log"
JSON = "Content-Type: application/json"
CHUNKED = f"HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
PART = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
DAY = datetime.timedelta(days=1)

UNEXPECTED: dict[str, Response] = {
    "503 without Content-Type": full_response("503 Service Unavailable", WORDS.encode()),
    "503 in HTML": full_response("503 Service Unavailable", f"<html>{WORDS}".encode(), "Content-Type: text/html"),
    "503 as JSON that is none": full_response("503 Service Unavailable", f'{{"{WORDS}'.encode(), JSON),
    "500 as another object": full_response("500 Internal Server Error", b'{"kind":"Pod","message":{}}', JSON),
    "404 of a proxy": full_response("404 Not Found", b"404 page not found", "Content-Type: text/plain"),
    "409 in HTML": full_response("409 Conflict", b"<html>", "Content-Type: text/html"),
    "200 in HTML": full_response("200 OK", f"<html>{WORDS}".encode(), "Content-Type: text/html"),
    "200 as JSON that is none": full_response("200 OK", f'{{"kind": "{WORDS}'.encode(), JSON),
    "200 without a body": full_response("200 OK", b""),
    "204": raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "a list": full_response("200 OK", b"[]", JSON),
    "null": full_response("200 OK", b"null", JSON),
    "an empty object": full_response("200 OK", b"{}", JSON),
    "another object": full_response("200 OK", f'{{"kind":"Pod","metadata":{{"name":"{WORDS}"}}}}'.encode(), JSON),
    "a Secret without metadata": full_response("200 OK", b'{"kind":"Secret"}', JSON),
    "a Secret of other types": full_response(
        "200 OK", b'{"kind":"Secret","metadata":{"resourceVersion":7,"annotations":[]},"data":"x"}', JSON
    ),
    "a configuration of other types": full_response(
        "200 OK",
        b'{"kind":"MutatingWebhookConfiguration","metadata":{"resourceVersion":"7"},"webhooks":[{"clientConfig":[]}]}',
        JSON,
    ),
    "nested without end": full_response("200 OK", b'{"a":' * 100_000, JSON),
    "not UTF-8": full_response("200 OK", b'{"kind":"\xff\xfe"}', JSON),
    "compressed": full_response("200 OK", gzip.compress(b"{}"), JSON, "Content-Encoding: gzip"),
    "a redirect": full_response("302 Found", b"", "Location: http://127.0.0.1:9/"),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
    "nothing": raw(b""),
    "half a head": raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "half a body": raw(f'HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: 1000\r\n\r\n{{"kind"'.encode()),
    "a broken chunk": raw(CHUNKED + b"zz\r\n{}\r\n"),
    "a length that is none": raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
}


@pytest.mark.parametrize("name", UNEXPECTED)
def test_certificates_are_managed_despite_an_unexpected_response_to_any_request(
    scene: Scene, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for request_kind in REQUEST_KINDS:
        scene.server.faults[request_kind].append(UNEXPECTED[name])

    async def act() -> None:
        await scene.until_ready()
        scene.server.faults["read secret"].append(UNEXPECTED[name])
        scene.server.faults["read configuration"].append(UNEXPECTED[name])
        scene.server.store(scene.server.secret)
        await scene.until_ready()

    scene.run(act)
    # An unexpected response to a watch or a change may have no effect.
    assert scene.metrics.failures >= 4
    assert WORDS not in caplog.text
    assert scene.server.secret is not None
    assert scene.server.secret["data"]["tls.key"] not in caplog.text
    assert "PRIVATE" not in caplog.text
    assert "cannot manage the certificates: ApiServerUnavailable: the API server" in caplog.text


def test_an_accepted_certificate_stays_ready_during_unexpected_responses(scene: Scene) -> None:
    async def act() -> None:
        await scene.until_ready()
        failures = scene.metrics.failures
        for response in UNEXPECTED.values():
            scene.server.faults["read secret"].append(response)
        scene.server.store(scene.server.secret)
        while scene.server.faults["read secret"]:
            assert scene.controller.is_ready
            await asyncio.sleep(0.01)
        await scene.until_ready()
        await scene.until(lambda: scene.metrics.failures >= failures + len(UNEXPECTED))

    scene.run(act)


P_256, P_239 = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030104")
"""The object identifiers of two curves of X9.62; P-239 is not supported."""


def on_an_unsupported_curve(pem: bytes) -> bytes:
    first, *lines, last = pem.decode().splitlines()
    der = base64.b64decode("".join(lines)).replace(P_256, P_239)
    return "\n".join([first, *textwrap.wrap(base64.b64encode(der).decode(), 64), last, ""]).encode()


def data_of_an_unusable_ca(kind: str) -> dict[str, str]:
    good = Authority.create(NOT_BEFORE, wall_clock() + 100 * DAY)
    data = write_data(CaSecret(good))
    match kind:
        case "curve of the CA":
            data |= {"tls.crt": on_an_unsupported_curve(good.certificate), "tls.key": on_an_unsupported_curve(good.key)}
        case "curve of the key":
            data |= {"tls.key": on_an_unsupported_curve(good.key)}
        case "curve of the next CA":
            data |= {
                "next.crt": on_an_unsupported_curve(good.certificate),
                "next.key": on_an_unsupported_curve(good.key),
            }
        case "curve of a previous CA":
            other = Authority.create(NOT_BEFORE, wall_clock() + 100 * DAY)
            data |= {"previous.crt": on_an_unsupported_curve(other.certificate)}
        case "no PEM":
            data |= {"tls.crt": b"\xff\x00", "tls.key": b"\x00"}
        case "ended before all of ours began":
            old = Authority.create(NOT_BEFORE - 900 * DAY, NOT_BEFORE - 500 * DAY)
            data = write_data(CaSecret(old))
    texts = encoded(data)
    return {"tls.crt": "%%%", "tls.key": "Ä"} if kind == "no base64" else texts


@pytest.mark.parametrize("moment", ["from the beginning", "later"])
@pytest.mark.parametrize(
    "kind",
    [
        "curve of the CA",
        "curve of the key",
        "curve of the next CA",
        "curve of a previous CA",
        "no PEM",
        "no base64",
        "ended before all of ours began",
    ],
)
def test_an_unusable_secret_is_repaired(scene: Scene, kind: str, moment: str, caplog: pytest.LogCaptureFixture) -> None:
    unusable = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "graceful-worker-ca", "labels": {"mine": "kept"}},
        "data": data_of_an_unusable_ca(kind),
    }

    async def act() -> None:
        if moment == "later":
            await scene.until_ready()
        scene.server.store(unusable)
        await scene.until(
            lambda: (scene.server.secret or unusable)["data"] != unusable["data"] or kind.endswith("previous CA")
        )
        await scene.until_ready()

    scene.run(act)
    assert scene.server.secret is not None
    assert scene.server.secret["metadata"]["labels"] == {"mine": "kept"}
    assert "PRIVATE" not in caplog.text


@pytest.mark.parametrize("bundle", ["%%%", "Ä", encoded({"": b"nonsense"})[""], "odd curve"])
def test_an_unusable_bundle_is_repaired(scene: Scene, bundle: str) -> None:
    if bundle == "odd curve":
        other = Authority.create(NOT_BEFORE, wall_clock() + 100 * DAY, "somebody else's CA")
        bundle = encoded({"": on_an_unsupported_curve(other.certificate)})[""]

    async def act() -> None:
        await scene.until_ready()
        scene.server.configuration["webhooks"][0]["clientConfig"]["caBundle"] = bundle
        scene.server.store(scene.server.secret)
        await scene.until(lambda: len(set(scene.server.bundles)) == 1 and bundle not in scene.server.bundles)
        await scene.until_ready()

    scene.run(act)


@pytest.mark.parametrize("request_kind", REQUEST_KINDS)
def test_an_endless_response_is_not_buffered(scene: Scene, request_kind: str) -> None:
    heads = CHUNKED, CHUNKED.replace(b"200", b"500")
    scene.server.faults[request_kind].extend(endless(head, PART) for head in heads)

    async def act() -> None:
        tracemalloc.reset_peak()
        begin, _ = tracemalloc.get_traced_memory()
        await scene.until_ready()
        _, peak = tracemalloc.get_traced_memory()
        assert peak - begin < 32 * 1024 * 1024

    tracemalloc.start(1)
    try:
        scene.run(act)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("request_kind", REQUEST_KINDS)
@pytest.mark.parametrize(
    "response",
    [
        endless(b"HTTP/1.1 200 OK\r\nContent-Type: ", b"x", 0.02),
        endless(CHUNKED, b"1\r\n \r\n", 0.02),
        endless(b"", b"\r\n", 0.02),
    ],
    ids=["head", "body", "nothing"],
)
def test_a_response_that_arrives_too_slowly_times_out(scene: Scene, request_kind: str, response: Response) -> None:
    scene.limits = Limits(seconds=0.5, watch_seconds=0.5)
    scene.server.faults[request_kind].append(response)

    async def act() -> None:
        await scene.until_ready()
        await scene.until(lambda: scene.metrics.failures > 0)

    scene.run(act)


def test_the_description_of_an_unexpected_error_leaves_out_its_message() -> None:
    with pytest.raises(LookupError) as caught:
        raise LookupError(WORDS)
    assert errors.describe_error(caught.value).startswith("LookupError at test_odd_answers.py:")
    assert WORDS not in errors.describe_error(caught.value)
    assert len(errors.describe_error(errors.ExpectedError("x" * 10_000))) < 400


@pytest.mark.parametrize("error", [ValueError(), RecursionError(), MemoryError(), asyncio.CancelledError()])
def test_retry_forever_continues_after_every_error_except_its_own_cancellation(error: BaseException) -> None:
    count = 0

    async def act() -> None:
        nonlocal count
        count += 1
        if count < 5:
            raise error
        await asyncio.sleep(60)

    async def run() -> None:
        metrics = CertificateMetrics()
        task = asyncio.create_task(retry.retry_forever(act, "trouble", metrics))
        async with asyncio.timeout(10):
            while count < 5:
                await asyncio.sleep(0.01)
        assert metrics.failures == 4
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_repeated_conflicts_count_as_failures(scene: Scene) -> None:
    conflict = json.dumps({"kind": "Status", "code": 409, "message": "modified"}).encode()
    scene.server.faults["create secret"].extend([full_response("409 Conflict", conflict, JSON)] * 50)

    async def act() -> None:
        await scene.until_ready()

    scene.run(act)
    assert scene.metrics.failures >= 2
