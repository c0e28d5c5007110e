"""Workers whose image cannot be looked up: admitted with a warning, or refused, as the operator chooses."""

from __future__ import annotations

import socket

import pytest

from .process import Servers
from .samples import Review, fresh, read_review


@pytest.fixture
def host() -> str:
    """A registry's host on which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def review(host: str) -> Review:
    review = fresh(read_review("no-command"))
    review["request"]["object"]["spec"]["containers"][0]["image"] = f"{host}/team/app:1"
    return review


def test_by_default_a_worker_whose_image_cannot_be_looked_up_is_admitted_with_a_warning(
    servers: Servers, review: Review, host: str
) -> None:
    response = servers.start(registry_local=host, registry=True).review(review).json["response"]
    assert response["allowed"]
    assert response["patch"]
    assert any(warning.startswith("registry-trouble: ") for warning in response["warnings"])
    assert "registry-trouble" in response["auditAnnotations"]["findings"].split(",")


def test_with_the_refuse_option_such_a_worker_is_refused_with_the_reason(
    servers: Servers, review: Review, host: str
) -> None:
    server = servers.start(registry_local=host, registry=True, registry_trouble="refuse")
    response = server.review(review).json["response"]
    assert not response["allowed"]
    assert response["auditAnnotations"]["reason"] == "registry-required"
    assert f"{host}: connection refused" in response["status"]["message"]
    container = review["request"]["object"]["spec"]["containers"][0]
    container["command"] = ["/app/worker"]
    assert server.review(fresh(review)).json["response"]["allowed"]
