"""Which callers count as the API server: registries are only asked for them."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from .process import Server, Servers, serve_command, wait_for
from .samples import Review, fresh, read_review
from .wire import get, post

API_SERVER = "kube-apiserver"


@dataclass
class Registry:
    """Listens and hangs up, and counts who came."""

    host: str
    callers: list[str] = field(default_factory=list)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        registry = Registry(f"127.0.0.1:{listener.getsockname()[1]}")

        def answer() -> None:
            while True:
                try:
                    connection, caller = listener.accept()
                except OSError:
                    return
                registry.callers.append(str(caller))
                connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield registry
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def client_ca(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "clients.crt"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def proving_server(servers: Servers, registry: Registry, client_ca: Path) -> Server:
    """Knows API servers by their certificates."""
    return servers.start(registry_plain_http=registry.host, registry_local=registry.host, client_ca=str(client_ca))


def review_of(registry: Registry) -> bytes:
    """Return a review of a pod whose command only its image knows."""
    review: Review = fresh(read_review("no-command"))
    review["request"]["object"]["spec"]["containers"][0]["image"] = f"{registry.host}/team/app:1"
    return json.dumps(review).encode()


def trust(server: Server, authority: trustme.CA | None, name: str = API_SERVER) -> ssl.SSLContext:
    """Return what a client trusts, and the certificate that it shows, if it has one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=server.certificate / "ca.crt")
    if authority:
        authority.issue_cert(common_name=name).configure_cert(context)
    return context


def ask(server: Server, context: ssl.SSLContext, registry: Registry, path: str = "/mutate") -> None:
    with server.connect(trust=context) as connection:
        assert connection.exchange(post(review_of(registry), path=path)).admission_response["allowed"] is True


def test_registries_are_asked_for_who_shows_a_certificate(
    proving_server: Server, authority: trustme.CA, registry: Registry
) -> None:
    ask(proving_server, trust(proving_server, authority), registry)
    assert registry.callers


@pytest.mark.parametrize("path", ["/mutate", "/", f"/mutate/{'a' * 64}"])
def test_who_shows_none_gets_an_answer_for_which_no_registry_was_asked(
    proving_server: Server, registry: Registry, path: str
) -> None:
    ask(proving_server, trust(proving_server, None), registry, path)
    assert not registry.callers


def test_a_certificate_of_another_ca_is_refused(proving_server: Server) -> None:
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        proving_server.connect(trust=trust(proving_server, trustme.CA())) as connection,
    ):
        connection.exchange(get("/healthz"))


def test_who_has_another_name_is_not_the_api_server(
    servers: Servers, authority: trustme.CA, registry: Registry, client_ca: Path
) -> None:
    options = {"registry_plain_http": registry.host, "registry_local": registry.host}
    server = servers.start(**options, client_ca=str(client_ca), client_names=API_SERVER)
    ask(server, trust(server, authority, "system:node:one"), registry)
    assert not registry.callers
    ask(server, trust(server, authority), registry)
    assert registry.callers


def test_another_ca_counts_once_its_file_has_changed(
    proving_server: Server, authority: trustme.CA, registry: Registry, client_ca: Path
) -> None:
    renewed = trustme.CA()
    renewed.cert_pem.write_to_path(client_ca)
    context = trust(proving_server, renewed)

    def is_taken() -> bool:
        try:
            ask(proving_server, context, registry)
        except (ssl.SSLError, ConnectionError):
            return False
        return True

    wait_for(is_taken)
    assert registry.callers
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(proving_server, trust(proving_server, authority), registry)


def test_a_file_that_is_no_ca_leaves_the_old_one_in_place(
    proving_server: Server, authority: trustme.CA, registry: Registry, client_ca: Path
) -> None:
    client_ca.write_text("none")
    wait_for(lambda: any("the client CA cannot be used" in line["message"] for line in proving_server.log()))
    ask(proving_server, trust(proving_server, authority), registry)
    assert registry.callers


def test_no_registry_is_asked_where_nobody_can_prove_to_be_the_api_server(servers: Servers, registry: Registry) -> None:
    server = servers.start(registry_plain_http=registry.host, registry_local=registry.host)
    ask(server, trust(server, None), registry)
    assert not registry.callers


def test_registries_are_asked_for_anybody_where_the_operator_says_so(servers: Servers, registry: Registry) -> None:
    server = servers.start(registry_plain_http=registry.host, registry_local=registry.host, registry=True)
    ask(server, trust(server, None), registry)
    assert registry.callers


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--pull-secrets"], "set --client-ca"),
        (["--registry-credentials", "{credentials}"], "set --client-ca"),
        (["--client-name", "kube-apiserver"], "--client-name requires --client-ca"),
        (["--client-ca", "{credentials}"], "cannot be used"),
    ],
)
def test_a_start_says_what_does_not_go_together(certificate: Path, tmp_path: Path, flags: list[str], said: str) -> None:
    credentials = tmp_path / "config.json"
    credentials.write_text('{"auths": {"registry.example.com": {"auth": "YTpi"}}}')
    command = serve_command(certificate, {"port": 0, "registry": True})
    given = [flag.format(credentials=credentials) for flag in flags]
    ended = subprocess.run([*command, *given], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode
    assert said in ended.stderr + ended.stdout
