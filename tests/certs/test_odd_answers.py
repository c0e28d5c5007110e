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
from tests.certs.odd_api_server import QUESTIONS, Answer, encoded, endless, raw, whole
from tests.certs.scene import Scene

WORDS = "words-that-nobody-may-log"
JSON = "Content-Type: application/json"
CHUNKED = f"HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
PART = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
DAY = datetime.timedelta(days=1)

ODD: dict[str, Answer] = {
    "503 without Content-Type": whole("503 Service Unavailable", WORDS.encode()),
    "503 in HTML": whole("503 Service Unavailable", f"<html>{WORDS}".encode(), "Content-Type: text/html"),
    "503 as JSON that is none": whole("503 Service Unavailable", f'{{"{WORDS}'.encode(), JSON),
    "500 as another object": whole("500 Internal Server Error", b'{"kind":"Pod","message":{}}', JSON),
    "404 of a proxy": whole("404 Not Found", b"404 page not found", "Content-Type: text/plain"),
    "409 in HTML": whole("409 Conflict", b"<html>", "Content-Type: text/html"),
    "200 in HTML": whole("200 OK", f"<html>{WORDS}".encode(), "Content-Type: text/html"),
    "200 as JSON that is none": whole("200 OK", f'{{"kind": "{WORDS}'.encode(), JSON),
    "200 without a body": whole("200 OK", b""),
    "204": raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "a list": whole("200 OK", b"[]", JSON),
    "null": whole("200 OK", b"null", JSON),
    "an empty object": whole("200 OK", b"{}", JSON),
    "another object": whole("200 OK", f'{{"kind":"Pod","metadata":{{"name":"{WORDS}"}}}}'.encode(), JSON),
    "a Secret without metadata": whole("200 OK", b'{"kind":"Secret"}', JSON),
    "a Secret of other types": whole(
        "200 OK", b'{"kind":"Secret","metadata":{"resourceVersion":7,"annotations":[]},"data":"x"}', JSON
    ),
    "a configuration of other types": whole(
        "200 OK",
        b'{"kind":"MutatingWebhookConfiguration","metadata":{"resourceVersion":"7"},"webhooks":[{"clientConfig":[]}]}',
        JSON,
    ),
    "nested without end": whole("200 OK", b'{"a":' * 100_000, JSON),
    "not UTF-8": whole("200 OK", b'{"kind":"\xff\xfe"}', JSON),
    "compressed": whole("200 OK", gzip.compress(b"{}"), JSON, "Content-Encoding: gzip"),
    "a redirect": whole("302 Found", b"", "Location: http://127.0.0.1:9/"),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
    "nothing": raw(b""),
    "half a head": raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "half a body": raw(f'HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: 1000\r\n\r\n{{"kind"'.encode()),
    "a broken chunk": raw(CHUNKED + b"zz\r\n{}\r\n"),
    "a length that is none": raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_answer_to_any_question_ends_nothing(scene: Scene, odd: str, caplog: pytest.LogCaptureFixture) -> None:
    for question in QUESTIONS:
        scene.server.odd[question].append(ODD[odd])

    async def act() -> None:
        await scene.all_is_well()
        scene.server.odd["read secret"].append(ODD[odd])
        scene.server.odd["read configuration"].append(ODD[odd])
        scene.server.store(scene.server.secret)
        await scene.all_is_well()

    scene.play(act)
    # An unexpected response to a watch or a change may have no effect.
    assert scene.metrics.failures >= 4
    assert WORDS not in caplog.text
    assert scene.server.secret is not None
    assert scene.server.secret["data"]["tls.key"] not in caplog.text
    assert "PRIVATE" not in caplog.text
    assert "cannot manage the certificates: ApiServerUnavailable: the API server" in caplog.text


def test_a_certificate_that_is_accepted_stays_so_while_answers_are_odd(scene: Scene) -> None:
    async def act() -> None:
        await scene.all_is_well()
        failures = scene.metrics.failures
        for odd in ODD.values():
            scene.server.odd["read secret"].append(odd)
        scene.server.store(scene.server.secret)
        while scene.server.odd["read secret"]:
            assert scene.controller.is_ready
            await asyncio.sleep(0.01)
        await scene.all_is_well()
        await scene.until(lambda: scene.metrics.failures >= failures + len(ODD))

    scene.play(act)


P_256, P_239 = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030104")
"""Two curves: the other one is in X9.62, too, but not supported."""


def on_an_odd_curve(pem: bytes) -> bytes:
    first, *lines, last = pem.decode().splitlines()
    der = base64.b64decode("".join(lines)).replace(P_256, P_239)
    return "\n".join([first, *textwrap.wrap(base64.b64encode(der).decode(), 64), last, ""]).encode()


def data_of_an_odd_ca(kind: str) -> dict[str, str]:
    good = Authority.create(NOT_BEFORE, wall_clock() + 100 * DAY)
    data = write_data(CaSecret(good))
    match kind:
        case "curve of the CA":
            data |= {"tls.crt": on_an_odd_curve(good.certificate), "tls.key": on_an_odd_curve(good.key)}
        case "curve of the key":
            data |= {"tls.key": on_an_odd_curve(good.key)}
        case "curve of the next CA":
            data |= {"next.crt": on_an_odd_curve(good.certificate), "next.key": on_an_odd_curve(good.key)}
        case "curve of a previous CA":
            other = Authority.create(NOT_BEFORE, wall_clock() + 100 * DAY)
            data |= {"previous.crt": on_an_odd_curve(other.certificate)}
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
def test_an_odd_secret_is_made_anew(scene: Scene, kind: str, moment: str, caplog: pytest.LogCaptureFixture) -> None:
    odd = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "graceful-worker-ca", "labels": {"mine": "kept"}},
        "data": data_of_an_odd_ca(kind),
    }

    async def act() -> None:
        if moment == "later":
            await scene.all_is_well()
        scene.server.store(odd)
        await scene.until(lambda: (scene.server.secret or odd)["data"] != odd["data"] or kind.endswith("previous CA"))
        await scene.all_is_well()

    scene.play(act)
    assert scene.server.secret is not None
    assert scene.server.secret["metadata"]["labels"] == {"mine": "kept"}
    assert "PRIVATE" not in caplog.text


@pytest.mark.parametrize("bundle", ["%%%", "Ä", encoded({"": b"nonsense"})[""], "odd curve"])
def test_an_odd_bundle_is_put_right(scene: Scene, bundle: str) -> None:
    if bundle == "odd curve":
        other = Authority.create(NOT_BEFORE, wall_clock() + 100 * DAY, "somebody else's CA")
        bundle = encoded({"": on_an_odd_curve(other.certificate)})[""]

    async def act() -> None:
        await scene.all_is_well()
        scene.server.configuration["webhooks"][0]["clientConfig"]["caBundle"] = bundle
        scene.server.store(scene.server.secret)
        await scene.until(lambda: len(set(scene.server.bundles)) == 1 and bundle not in scene.server.bundles)
        await scene.all_is_well()

    scene.play(act)


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_without_end_takes_no_memory(scene: Scene, question: str) -> None:
    heads = CHUNKED, CHUNKED.replace(b"200", b"500")
    scene.server.odd[question].extend(endless(head, PART) for head in heads)

    async def act() -> None:
        tracemalloc.reset_peak()
        begin, _ = tracemalloc.get_traced_memory()
        await scene.all_is_well()
        _, peak = tracemalloc.get_traced_memory()
        assert peak - begin < 32 * 1024 * 1024

    tracemalloc.start(1)
    try:
        scene.play(act)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "answer",
    [
        endless(b"HTTP/1.1 200 OK\r\nContent-Type: ", b"x", 0.02),
        endless(CHUNKED, b"1\r\n \r\n", 0.02),
        endless(b"", b"\r\n", 0.02),
    ],
    ids=["head", "body", "nothing"],
)
def test_an_answer_that_trickles_is_given_up(scene: Scene, question: str, answer: Answer) -> None:
    scene.limits = Limits(seconds=0.5, watch_seconds=0.5)
    scene.server.odd[question].append(answer)

    async def act() -> None:
        await scene.all_is_well()
        await scene.until(lambda: scene.metrics.failures > 0)

    scene.play(act)


def test_what_goes_wrong_is_told_without_words_that_nobody_has_foreseen() -> None:
    with pytest.raises(LookupError) as caught:
        raise LookupError(WORDS)
    assert errors.describe_error(caught.value).startswith("LookupError at test_odd_answers.py:")
    assert WORDS not in errors.describe_error(caught.value)
    assert len(errors.describe_error(errors.ExpectedError("x" * 10_000))) < 400


@pytest.mark.parametrize("error", [ValueError(), RecursionError(), MemoryError(), asyncio.CancelledError()])
def test_what_is_repeated_outlives_every_error_but_its_own_end(error: BaseException) -> None:
    count = 0

    async def act() -> None:
        nonlocal count
        count += 1
        if count < 5:
            raise error
        await asyncio.sleep(60)

    async def play() -> None:
        metrics = CertificateMetrics()
        task = asyncio.create_task(retry.retry_forever(act, "trouble", metrics))
        async with asyncio.timeout(10):
            while count < 5:
                await asyncio.sleep(0.01)
        assert metrics.failures == 4
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())


def test_somebody_who_is_always_faster_is_a_failure(scene: Scene) -> None:
    refusal = json.dumps({"kind": "Status", "code": 409, "message": "modified"}).encode()
    scene.server.odd["create secret"].extend([whole("409 Conflict", refusal, JSON)] * 50)

    async def act() -> None:
        await scene.all_is_well()

    scene.play(act)
    assert scene.metrics.failures >= 2
