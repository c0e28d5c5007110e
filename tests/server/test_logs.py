"""What the server logs, and that it never logs the content of pods."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.metrics import CertificateMetrics
from webhook.core.policy import Policy
from webhook.core.reasons import Kind, Reason
from webhook.server.admission_review import read_review as read_request
from webhook.server.admission_review import review as decide_on
from webhook.server.json_log import LOG_WRITER, MAX_QUEUED_BYTES, MAX_VALUE_LENGTH, LogWriter, configure_logs
from webhook.server.metrics import Metrics
from webhook.server.telemetry import Telemetry

from .process import Server, Servers, free_port, serve_command, wait_for
from .samples import Review, fresh, read_review, uid_of, with_pod
from .wire import JSON, Connection, head, post

LINE = b"x" * 250 + b"\n"
REVIEWS_THAT_FILL_THE_PIPE = 262
SECRET = "hunter2-5ecret"


def with_secrets(review: Review) -> Review:
    """Return the review with a secret in every place where a pod can have one."""
    pod = deepcopy(review["request"]["object"])
    pod["metadata"]["annotations"][f"{SECRET}-key"] = f"{SECRET}-annotation"
    pod["metadata"]["labels"]["team"] = f"{SECRET}-label"
    worker = pod["spec"]["containers"][0]
    worker["env"].append({"name": "PASSWORD", "value": f"{SECRET}-environment"})
    worker["command"] += [f"--password={SECRET}-command", "--other=$(PASSWORD)", "$(PASSWORD)"]
    worker["args"] = [f"{SECRET}-argument"]
    worker["image"] = f"registry.example.com/{SECRET}-image"
    worker["lifecycle"] = {"preStop": {"exec": {"command": [f"{SECRET}-hook"]}}}
    return fresh(with_pod(review, pod))


@pytest.fixture(scope="module")
def debug_server(shared_servers: Servers) -> Server:
    """A server with the log level debug."""
    return shared_servers.start(log_level="debug")


def test_a_review_is_logged_as_one_line_of_json_with_its_outcome(server: Server, messenger: Review) -> None:
    review = fresh(messenger)
    server.review(review)
    line = server.log_of(uid_of(review))
    assert line.pop("ms") >= 0
    assert datetime.now(UTC) - datetime.fromisoformat(line.pop("time")) < timedelta(minutes=1)
    assert line == {
        "level": "info",
        "message": "review",
        "uid": uid_of(review),
        "namespace": "shop",
        "generateName": "messenger-6d5f7c9b8-",
        "outcome": Kind.PROTECTED.value,
        "reason": Reason.INJECTED.value,
        "dryRun": False,
    }


@pytest.mark.parametrize(
    ("name", "outcome", "reason"),
    [
        ("annotation-invalid", Kind.REFUSED, Reason.ANNOTATION_INVALID),
        ("web-server", Kind.LEFT_ALONE, Reason.NOT_A_WORKER),
        ("pod-delete", Kind.LEFT_ALONE, Reason.NOT_A_CREATION),
    ],
)
def test_the_log_line_has_the_outcome_and_the_reason(server: Server, name: str, outcome: Kind, reason: Reason) -> None:
    review = fresh(read_review(name))
    server.review(review)
    line = server.log_of(uid_of(review))
    assert (line["outcome"], line["reason"]) == (outcome.value, reason.value)


def test_the_name_is_logged_if_there_is_no_generate_name(server: Server) -> None:
    review = fresh(read_review("celery-kubectl-dry-run"))
    server.review(review)
    assert server.log_of(uid_of(review))["generateName"] == "celery"


def test_a_dry_run_is_logged_as_one(server: Server) -> None:
    review = fresh(read_review("celery-kubectl-dry-run"))
    server.review(review)
    assert server.log_of(uid_of(review))["dryRun"] is True


def test_a_rejected_request_is_logged_as_one_warning_with_the_reason(server: Server) -> None:
    before = len(server.log())
    server.review(b"{}")
    wait_for(lambda: len(server.log()) > before)
    (line,) = server.log()[before:]
    assert line["level"] == "warning"
    assert (line["outcome"], line["reason"]) == (Kind.ERROR.value, Reason.REVIEW_INVALID.value)
    assert line["ms"] >= 0


def test_values_from_the_request_stay_on_one_line_and_are_truncated(server: Server, messenger: Review) -> None:
    namespace = 'a\n{"level":"info"}\r\u2028' + "x" * 10_000
    review = fresh(messenger, namespace=namespace)
    server.review(review)
    assert server.log_of(uid_of(review))["namespace"] == namespace[:MAX_VALUE_LENGTH]


@pytest.mark.parametrize("name", ["symfony-messenger", "annotation-invalid", "annotation-unknown", "pod-update"])
def test_the_content_of_a_pod_is_not_logged(debug_server: Server, name: str) -> None:
    review = with_secrets(read_review(name))
    assert debug_server.review(review).status == 200
    assert debug_server.log_of(uid_of(review))
    assert SECRET not in debug_server.output


def test_the_content_of_a_pod_that_is_left_alone_is_not_logged(debug_server: Server, messenger: Review) -> None:
    review = with_secrets(messenger)
    review["request"]["object"]["metadata"]["labels"]["graceful-worker"] = "disabled"
    assert "patch" not in debug_server.review(review).admission_response
    assert SECRET not in debug_server.output


def test_the_value_of_a_refused_annotation_is_not_logged(debug_server: Server, messenger: Review) -> None:
    review = with_secrets(messenger)
    review["request"]["object"]["metadata"]["annotations"]["graceful-worker/grace-period"] = SECRET
    assert SECRET in debug_server.review(review).admission_response["status"]["message"]
    assert SECRET not in debug_server.output


@pytest.mark.parametrize("field", ["uid", "operation", "namespace", "dryRun", "kind"])
def test_the_content_of_a_malformed_review_is_not_logged(debug_server: Server, messenger: Review, field: str) -> None:
    review = with_secrets(messenger)
    review["request"][field] = [SECRET]
    assert debug_server.review(review).status == 400
    assert SECRET not in debug_server.output


def test_the_content_of_a_rejected_request_is_not_logged(debug_server: Server, messenger: Review) -> None:
    body = json.dumps(with_secrets(messenger)).encode()
    assert debug_server.review(body[:-1]).status == 400
    assert debug_server.exchange(post(body, {"content-type": "text/plain"})).status == 415
    assert debug_server.exchange(post(body, {**JSON, "authorization": SECRET}, path=f"/{SECRET}")).status == 404
    assert SECRET not in debug_server.output


def test_the_content_of_a_malformed_pod_is_not_logged(debug_server: Server, messenger: Review) -> None:
    review = with_secrets(messenger)
    review["request"]["object"]["spec"]["containers"][0]["command"] = {SECRET: SECRET}
    assert debug_server.review(review).admission_response["allowed"] is False
    assert SECRET not in debug_server.output


@pytest.mark.parametrize("name", ["generateName", "name"])
def test_a_name_that_is_not_a_string_is_not_logged(debug_server: Server, messenger: Review, name: str) -> None:
    review = with_secrets(messenger)
    del review["request"]["object"]["metadata"]["generateName"]
    review["request"]["object"]["metadata"][name] = {"password": SECRET}
    assert debug_server.review(review).status == 200
    assert SECRET not in debug_server.output


def test_a_defect_gets_500_with_json_and_without_a_verdict(defective_server: Server, messenger: Review) -> None:
    response = defective_server.review(messenger)
    assert (response.status, response.error) == (500, Reason.DEFECT.value)
    assert "response" not in response.json


def test_a_defect_is_logged_with_its_stack_and_without_the_pod(defective_server: Server, messenger: Review) -> None:
    response = defective_server.review(with_secrets(messenger))
    line = defective_server.lines(level="error")[0]
    assert line["error"] == "ValueError"
    assert any("serve.py" in place for place in line["stack"])
    assert SECRET not in defective_server.output
    assert SECRET.encode() not in response.body


def test_the_server_continues_after_a_defect(defective_server: Server, messenger: Review) -> None:
    with defective_server.connect() as connection:
        assert connection.exchange(post(json.dumps(messenger).encode())).status == 500
        response = connection.exchange(post(json.dumps(fresh(messenger, operation="DELETE")).encode()))
        assert response.admission_response["allowed"] is True


HALVES = {
    "length": head("POST", "/mutate", {**JSON, "content-length": "100"}) + b"{",
    "chunked": head("POST", "/mutate", {**JSON, "transfer-encoding": "chunked"}) + b"1\r\n{\r\n",
}


@pytest.mark.parametrize("encoding", HALVES)
def test_a_client_that_disconnects_in_the_middle_of_a_body_is_not_a_defect(server: Server, encoding: str) -> None:
    before = len(server.log())
    with server.connect() as connection:
        connection.send(HALVES[encoding])
        time.sleep(0.05)
    wait_for(lambda: len(server.log()) > before)
    (line,) = server.log()[before:]
    assert (line["level"], line["reason"]) == ("warning", Reason.REVIEW_TOO_SLOW.value)


def test_an_invalid_chunk_in_a_body_is_not_a_defect(server: Server) -> None:
    before = len(server.log())
    assert server.exchange(HALVES["chunked"] + b"no length\r\n").status == 400
    wait_for(lambda: len(server.log()) > before + 1)
    assert {line["level"] for line in server.log()[before:]} == {"warning"}


def test_lines_below_the_log_level_are_not_logged(servers: Servers, messenger: Review) -> None:
    server = servers.start(log_level="warning")
    assert server.review(messenger).status == 200
    assert server.review(b"").status == 400
    server.stop()
    assert {line["level"] for line in server.log()} == {"warning"}
    assert [line["reason"] for line in server.log() if "reason" in line] == [Reason.REVIEW_INVALID.value]


@pytest.fixture
def restored_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("graceful_worker", "uvicorn", "uvicorn.error", "asyncio")]
    before = [(logger, logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagates in before:
        logger.handlers, logger.propagate = handlers, propagates
        logger.setLevel(level)


@pytest.mark.usefixtures("restored_loggers")
@pytest.mark.parametrize("name", ["graceful_worker", "uvicorn", "uvicorn.error", "asyncio"])
def test_a_message_of_a_library_is_logged_as_one_line_of_json_too(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    logging.getLogger(name).warning("two\nlines")
    assert LOG_WRITER.drain(10)
    output, errors = capfd.readouterr()
    assert errors == ""
    assert json.loads(output)["message"] == "two\nlines"


def test_a_log_that_cannot_be_written_does_not_fail_a_review(
    monkeypatch: pytest.MonkeyPatch, messenger: Review
) -> None:
    configure_logs("info")
    metrics = Metrics(CertificateMetrics())
    telemetry = Telemetry(metrics)
    request = read_request(json.dumps(messenger).encode())

    async def review() -> None:
        telemetry.record_review(request, decide_on(request, Policy()), 0.001)

    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        asyncio.run(review())
        telemetry.flush()
        assert LOG_WRITER.drain(10)
        with suppress(OSError):
            full.close()
    assert b'reason="injected"' in metrics.exposition()


def test_a_log_that_is_no_longer_read_does_not_block_reviews(certificate: Path, messenger: Review) -> None:
    """The server logs to a pipe, which is full after 262 reviews."""
    port = free_port()
    options = {"port": port, "limits": {"connections": 50}}
    command = serve_command(certificate, options)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            trust = ssl.create_default_context(cafile=certificate / "ca.crt")
            assert any(b"running on" in line for line in process.stdout), "the server ended instead"
            with Connection(port, trust) as connection:
                for _ in range(3 * REVIEWS_THAT_FILL_THE_PIPE):
                    assert connection.exchange(post(json.dumps(fresh(messenger)).encode())).status == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            lines = process.stdout.read().splitlines()
        finally:
            process.kill()
    assert len(lines) >= REVIEWS_THAT_FILL_THE_PIPE // 2


@pytest.mark.parametrize("stdout", [None, object(), io.StringIO()])
def test_an_unusable_standard_output_does_not_stop_the_log_writer(
    stdout: object, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    output = LogWriter()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", stdout)
        output.write(b"lost\n")
        assert output.drain(10)
    output.write(b"kept\n")
    assert output.drain(10)
    assert capfdbinary.readouterr().out == b"kept\n"


def test_lines_that_are_not_read_are_dropped_and_counted() -> None:
    reader, writer = os.pipe()
    output = LogWriter()
    with open(reader, "rb") as read, open(writer, "w") as stdout, pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", stdout)
        begin = time.monotonic()
        for _ in range(2 * MAX_QUEUED_BYTES // len(LINE)):
            output.write(LINE)
        assert time.monotonic() - begin < 30
        lines: list[bytes] = []
        while not lines or b"dropped" not in lines[-1]:
            lines.append(read.readline())
        assert output.drain(10)
    kept = lines.count(LINE)
    # The pipe and the thread that writes to it hold some more lines.
    assert kept * len(LINE) <= MAX_QUEUED_BYTES + 256 * 1024
    assert kept + json.loads(lines[-1])["count"] == 2 * MAX_QUEUED_BYTES // len(LINE)
