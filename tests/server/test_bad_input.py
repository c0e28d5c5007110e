"""Invalid requests get a 4xx with a JSON error, and the server continues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from webhook.core.reasons import Reason
from webhook.server.options import Limits

from .process import Server, Servers, wait_for
from .samples import Review, fresh, read_review, with_pod
from .wire import JSON, HttpResponse, chunked, get, head, post

GOOD = read_review("symfony-messenger")
GOOD_BODY = json.dumps(GOOD).encode()
LIMIT = Limits().body_bytes
DEEP = 100_000


def without(field: str) -> Review:
    request = {key: value for key, value in GOOD["request"].items() if key != field}
    return {**GOOD, "request": request}


INVALID: dict[str, Any] = {
    "nothing": b"",
    "blank": b" \n",
    "half": GOOD_BODY[: len(GOOD_BODY) // 2],
    "two": GOOD_BODY + GOOD_BODY,
    "trailing-comma": GOOD_BODY[:-1] + b",}",
    "yaml": b"apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\n",
    "protobuf": b"k8s\x00\n\x1c\n\x02v1",
    "null": b"null",
    "array": b"[]",
    "string": b'"AdmissionReview"',
    "number": b"1",
    "nan": b"NaN",
    "empty-object": {},
    "old-version": {**GOOD, "apiVersion": "admission.k8s.io/v1beta1"},
    "other-group": {**GOOD, "apiVersion": "v1"},
    "no-version": {key: value for key, value in GOOD.items() if key != "apiVersion"},
    "other-kind": {**GOOD, "kind": "ConversionReview"},
    "long-kind": {**GOOD, "kind": "x" * 100_000},
    "kind-of-wrong-type": {**GOOD, "kind": 1},
    "no-request": {"apiVersion": GOOD["apiVersion"], "kind": GOOD["kind"]},
    "response-only": {"apiVersion": GOOD["apiVersion"], "kind": GOOD["kind"], "response": {"uid": "x"}},
    "null-request": {**GOOD, "request": None},
    "request-of-wrong-type": {**GOOD, "request": []},
    "no-uid": without("uid"),
    "empty-uid": fresh(GOOD, uid=""),
    "null-uid": fresh(GOOD, uid=None),
    "uid-of-wrong-type": fresh(GOOD, uid=7),
    "no-object": without("object"),
    "null-object": fresh(GOOD, object=None),
    "object-a-string": fresh(GOOD, object="pod"),
    "object-a-list": fresh(GOOD, object=[]),
    "no-kind": without("kind"),
    "kind-a-string": fresh(GOOD, kind="Pod"),
    "no-operation": without("operation"),
    "dry-run-a-string": fresh(GOOD, dryRun="false"),
    "namespace-an-object": fresh(GOOD, namespace={}),
    "deep-arrays": b'{"request":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep-objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep-and-open": b"[" * DEEP,
    "deep-pod": GOOD_BODY.replace(b'"status": {}', b'"status": ' + b"[" * DEEP + b"]" * DEEP),
    "bad-utf-8": GOOD_BODY.replace(b"messenger:consume", b"messenger:\xff\xfe"),
    "overlong-utf-8": GOOD_BODY.replace(b"messenger:consume", b"messenger:\xc0\xaf"),
    "lone-surrogate": GOOD_BODY.replace(b"messenger:consume", b"messenger:\\ud800."),
    "utf-16": json.dumps(GOOD).encode("utf-16"),
    "byte-order-mark": b"\xef\xbb\xbf" + GOOD_BODY,
    "nul-byte": GOOD_BODY.replace(b"messenger:consume", b"messenger:\x00"),
    "nul-bytes": b"\x00" * 1000,
    "number-out-of-range": GOOD_BODY.replace(b'"uid": "', b'"uid": 1e999, "uid": "'),
    "number-of-10000-digits": GOOD_BODY.replace(b'"uid": "', b'"uid": ' + b"9" * 10_000 + b', "uid": "', 1),
}


def as_bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def test_every_invalid_body_differs_from_the_valid_one() -> None:
    assert all(as_bytes(body) != GOOD_BODY for body in INVALID.values())


@pytest.mark.parametrize("name", INVALID)
def test_a_body_that_is_not_a_review_gets_400_and_the_connection_stays_usable(server: Server, name: str) -> None:
    with server.connect() as connection:
        response = connection.exchange(post(as_bytes(INVALID[name])))
        assert (response.status, response.error) == (400, Reason.REVIEW_INVALID.value)
        assert len(response.body) < 500
        assert connection.exchange(post(GOOD_BODY)).admission_response["allowed"] is True


BODY_NOT_READ: dict[str, tuple[bytes, int, str]] = {
    "announced-too-large": (head("POST", "/mutate", {**JSON, "content-length": str(LIMIT + 1)}), 413, "too-large"),
    "announced-far-too-large": (head("POST", "/mutate", {**JSON, "content-length": "9" * 18}), 413, "too-large"),
    "sent-too-large": (post(b" " * (LIMIT + 1)), 413, "too-large"),
    "chunked-too-large": (
        head("POST", "/mutate", {**JSON, "transfer-encoding": "chunked"})
        + chunked(*[b" " * 65536] * (LIMIT // 65536 + 1)),
        413,
        "too-large",
    ),
    "no-content-type": (post(GOOD_BODY, {}), 415, "not-json"),
    "empty-content-type": (post(GOOD_BODY, {"content-type": ""}), 415, "not-json"),
    "yaml": (post(GOOD_BODY, {"content-type": "application/yaml"}), 415, "not-json"),
    "form": (post(GOOD_BODY, {"content-type": "application/x-www-form-urlencoded"}), 415, "not-json"),
    "json-patch": (post(GOOD_BODY, {"content-type": "application/json-patch+json"}), 415, "not-json"),
    "a-list-of-types": (post(GOOD_BODY, {"content-type": "application/json, text/plain"}), 415, "not-json"),
}


@pytest.mark.parametrize("name", BODY_NOT_READ)
def test_a_request_whose_body_is_not_read_is_rejected_and_the_connection_closes(server: Server, name: str) -> None:
    request, status, code = BODY_NOT_READ[name]
    with server.connect() as connection:
        response = connection.exchange(request)
        assert (response.status, response.error) == (status, f"review-{code}")
        assert response.closes
        connection.seconds_until_end()
    assert server.review(GOOD).status == 200


def test_the_operator_can_set_the_limit_of_a_body(servers: Servers) -> None:
    server = servers.start(body_limit=2048)
    assert server.review(b" " * 2048).status == 400
    assert server.review(b" " * 2049).status == 413


def test_a_body_of_exactly_the_limit_is_accepted(server: Server) -> None:
    body = GOOD_BODY + b" " * (LIMIT - len(GOOD_BODY))
    assert server.exchange(post(body)).admission_response["allowed"] is True


def test_a_chunked_body_is_accepted(server: Server) -> None:
    request = head("POST", "/mutate", {**JSON, "transfer-encoding": "chunked"})
    pieces = (GOOD_BODY[start : start + 100] for start in range(0, len(GOOD_BODY), 100))
    assert server.exchange(request + chunked(*pieces)).admission_response["allowed"] is True


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON", "application/json ;a=b"],
)
def test_a_json_content_type_with_a_parameter_is_accepted(server: Server, content_type: str) -> None:
    assert server.exchange(post(GOOD_BODY, {"content-type": content_type})).status == 200


def test_the_last_of_two_equal_keys_wins(server: Server) -> None:
    # As in the API server's decoder.
    body = GOOD_BODY[:-2] + b', "uid": "last"}}'
    assert server.review(body).admission_response["uid"] == "last"


@pytest.mark.parametrize("number", ["1e300", "-1e300", "9" * 30, "1e999", "9" * 10_000, "1e-999"], ids=lambda n: n[:9])
def test_an_extreme_number_in_an_unused_field_is_ignored(server: Server, number: str) -> None:
    body = GOOD_BODY.replace(b'"priority": 0', b'"priority": ' + number.encode())
    assert server.review(body).admission_response["allowed"] is True


@pytest.mark.parametrize("number", [-(2**63), -(10**30), -1, 0, 2**63, 10**30])
def test_a_pod_with_an_extreme_grace_period_is_admitted(server: Server, number: int) -> None:
    pod = deepcopy(GOOD["request"]["object"])
    pod["spec"]["terminationGracePeriodSeconds"] = number
    assert server.review(with_pod(GOOD, pod)).admission_response["allowed"] is True


SHAPES: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "spec-a-list": (("spec",), []),
    "no-spec": (("spec",), None),
    "containers-a-string": (("spec", "containers"), "worker"),
    "no-containers": (("spec", "containers"), []),
    "container-a-string": (("spec", "containers", 0), "worker"),
    "name-is-a-path": (("spec", "containers", 0, "name"), "../../etc"),
    "name-has-a-slash": (("spec", "containers", 1, "name"), "a/b"),
    "name-has-a-line-feed": (("spec", "containers", 0, "name"), "worker\n"),
    "name-is-empty": (("spec", "containers", 0, "name"), ""),
    "name-comes-twice": (("spec", "containers", 0, "name"), "nginx"),
    "command-a-string": (("spec", "containers", 0, "command"), "php bin/console"),
    "command-of-numbers": (("spec", "containers", 0, "command"), [1]),
    "label-a-number": (("metadata", "labels", "graceful-worker"), 1),
    "annotations-a-list": (("metadata", "annotations"), []),
    "grace-period-a-string": (("spec", "terminationGracePeriodSeconds"), "30"),
    "volume-without-name": (("spec", "volumes", 0), {}),
    "mount-without-path": (("spec", "containers", 0, "volumeMounts", 0), {"name": "sockets"}),
    "metadata-a-string": (("metadata",), "messenger"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_malformed_pod_is_refused_and_the_message_names_the_field(server: Server, name: str) -> None:
    path, value = SHAPES[name]
    pod = deepcopy(GOOD["request"]["object"])
    put(pod, path, value)
    response = server.review(with_pod(GOOD, pod)).admission_response
    assert response["allowed"] is False
    assert response["auditAnnotations"]["reason"] == Reason.POD_MALFORMED.value
    last = [str(token) for token in path if isinstance(token, str)][-1]
    assert last in response["status"]["message"] or "named" in response["status"]["message"]


def put(tree: Any, path: tuple[str | int, ...], value: Any) -> None:
    for token in path[:-1]:
        tree = tree[token]
    tree[path[-1]] = value


def paths(tree: Any) -> Iterator[tuple[str | int, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (key,)
        yield from ((key, *path) for path in paths(value))


def test_no_value_of_any_field_of_a_review_causes_a_500(server: Server) -> None:
    junk: tuple[Any, ...] = (None, 0, 10**30, "", "a\0/~", [], {}, [None], [{}], {"name": "x"})
    with server.connect() as connection:
        for path in paths(GOOD):
            review = deepcopy(GOOD)
            for value in junk:
                put(review, path, value)
                assert connection.exchange(post(json.dumps(review).encode())).status in (200, 400), (path, value)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_method_other_than_post_gets_405(server: Server, method: str) -> None:
    response = server.exchange(head(method, "/mutate"))
    assert (response.status, response.error) == (405, "http")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_post_to_a_read_only_endpoint_gets_405(server: Server, path: str) -> None:
    response = server.exchange(post(b"{}", path=path))
    assert (response.status, response.error) == (405, "http")


@pytest.mark.parametrize(
    "path",
    ["/mutate/", "/mutate/pods", "/Mutate", "//mutate", "/docs", "/redoc", "/openapi.json", "/%2e%2e/etc/passwd"],
)
def test_an_unknown_path_gets_404(server: Server, path: str) -> None:
    response = server.exchange(post(GOOD_BODY, path=path))
    assert (response.status, response.error) == (404, "http")


def test_a_review_sent_to_the_root_path_gets_a_response(server: Server) -> None:
    """If the webhook configuration has no path, the API server calls `/`.

    It has none until the webhook has written it, or after someone has removed it.
    """
    assert server.exchange(post(GOOD_BODY, path="/")).admission_response["allowed"] is True


def test_the_query_that_the_api_server_adds_is_accepted(server: Server) -> None:
    assert server.exchange(post(GOOD_BODY, path="/mutate?timeout=10s")).admission_response["allowed"] is True


NOT_HTTP = {
    "garbage": b"\x00\x01\x02\r\n\r\n",
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "negative-length": head("POST", "/mutate", {**JSON, "content-length": "-1"}),
    "length-out-of-range": head("POST", "/mutate", {**JSON, "content-length": "9" * 30}),
    "length-and-chunked": head("POST", "/mutate", {**JSON, "content-length": "1", "transfer-encoding": "chunked"}),
    "bad-chunk": head("POST", "/mutate", {**JSON, "transfer-encoding": "chunked"}) + b"zz\r\n",
    "bytes-in-path": b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
    "connect": head("CONNECT", "example.com:443"),
    "head-of-many-lines": b"GET /healthz HTTP/1.1\r\n" + b"x-filler: 0123456789\r\n" * 5000 + b"\r\n",
    "head-of-a-long-line": b"GET /healthz HTTP/1.1\r\nx-filler: " + b"x" * 70_000 + b"\r\n\r\n",
    "long-path": get("/" + "x" * 100_000),
}


@pytest.mark.parametrize("name", NOT_HTTP)
def test_a_request_that_is_not_http_gets_400_and_the_connection_closes(server: Server, name: str) -> None:
    with server.connect() as connection:
        response = connection.exchange(NOT_HTTP[name])
        assert (response.status, response.error) == (400, "http")
        assert response.closes
        connection.seconds_until_end()
    assert server.review(GOOD).status == 200


def test_a_request_head_of_60_kib_is_accepted(server: Server) -> None:
    # Tracing headers and the cookies of proxies add up to large heads.
    filler = {f"x-filler-{number}": "x" * 1000 for number in range(58)}
    assert server.exchange(post(GOOD_BODY, {**JSON, **filler})).status == 200


ENDLESS = {
    "header": b"GET /healthz HTTP/1.1\r\nx-filler: ",
    "path": b"GET /",
    "trailer": head("POST", "/mutate", {**JSON, "transfer-encoding": "chunked"}) + b"0\r\nx-filler: ",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_line_in_a_request_is_not_buffered(server: Server, name: str) -> None:
    before = server.resident_kib
    with server.connect() as connection:
        response: HttpResponse = connection.exchange(ENDLESS[name] + b"x" * 16_000_000)
        assert response.status == 400
    assert server.resident_kib - before < 8 * 1024
    assert server.get("/healthz").status == 200


def test_a_request_that_is_not_http_is_logged_in_one_line(servers: Servers) -> None:
    # A separate server: the shared one may still write log lines about earlier requests.
    server = servers.start()
    before = len(server.log())
    assert server.exchange(NOT_HTTP["head-of-a-long-line"]).status == 400
    wait_for(lambda: len(server.log()) > before)
    assert len(server.log()) == before + 1
