"""Which clients count as the API server: only their reviews cause registry lookups."""

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
    """A fake registry: it accepts connections, records the clients, and closes the connections at once."""

    host: str
    clients: list[str] = field(default_factory=list)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        registry = Registry(f"127.0.0.1:{listener.getsockname()[1]}")

        def accept_connections() -> None:
            while True:
                try:
                    connection, client = listener.accept()
                except OSError:
                    return
                registry.clients.append(str(client))
                connection.close()

        thread = threading.Thread(target=accept_connections, daemon=True)
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
def authenticating_server(servers: Servers, registry: Registry, client_ca: Path) -> Server:
    """A server that recognises API servers by their client certificates."""
    return servers.start(registry_plain_http=registry.host, registry_local=registry.host, client_ca=str(client_ca))


def review_of(registry: Registry) -> bytes:
    """Return a review of a pod whose command is only in its image."""
    review: Review = fresh(read_review("no-command"))
    review["request"]["object"]["spec"]["containers"][0]["image"] = f"{registry.host}/team/app:1"
    return json.dumps(review).encode()


def trust(server: Server, authority: trustme.CA | None, name: str = API_SERVER) -> ssl.SSLContext:
    """Return the TLS context of a client that trusts the server, with a certificate if an authority is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=server.certificate / "ca.crt")
    if authority:
        authority.issue_cert(common_name=name).configure_cert(context)
    return context


def send_review(server: Server, context: ssl.SSLContext, registry: Registry, path: str = "/mutate") -> None:
    with server.connect(trust=context) as connection:
        assert connection.exchange(post(review_of(registry), path=path)).admission_response["allowed"] is True


def test_a_client_with_a_certificate_causes_a_registry_lookup(
    authenticating_server: Server, authority: trustme.CA, registry: Registry
) -> None:
    send_review(authenticating_server, trust(authenticating_server, authority), registry)
    assert registry.clients


@pytest.mark.parametrize("path", ["/mutate", "/", f"/mutate/{'a' * 64}"])
def test_a_client_without_a_certificate_gets_a_response_without_a_registry_lookup(
    authenticating_server: Server, registry: Registry, path: str
) -> None:
    send_review(authenticating_server, trust(authenticating_server, None), registry, path)
    assert not registry.clients


def test_a_certificate_of_another_ca_is_refused(authenticating_server: Server) -> None:
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        authenticating_server.connect(trust=trust(authenticating_server, trustme.CA())) as connection,
    ):
        connection.exchange(get("/healthz"))


def test_a_certificate_with_another_name_does_not_count_as_the_api_server(
    servers: Servers, authority: trustme.CA, registry: Registry, client_ca: Path
) -> None:
    options = {"registry_plain_http": registry.host, "registry_local": registry.host}
    server = servers.start(**options, client_ca=str(client_ca), client_names=API_SERVER)
    send_review(server, trust(server, authority, "system:node:one"), registry)
    assert not registry.clients
    send_review(server, trust(server, authority), registry)
    assert registry.clients


def test_a_changed_client_ca_file_replaces_the_old_ca(
    authenticating_server: Server, authority: trustme.CA, registry: Registry, client_ca: Path
) -> None:
    renewed = trustme.CA()
    renewed.cert_pem.write_to_path(client_ca)
    context = trust(authenticating_server, renewed)

    def is_taken() -> bool:
        try:
            send_review(authenticating_server, context, registry)
        except (ssl.SSLError, ConnectionError):
            return False
        return True

    wait_for(is_taken)
    assert registry.clients
    with pytest.raises((ssl.SSLError, ConnectionError)):
        send_review(authenticating_server, trust(authenticating_server, authority), registry)


def test_an_invalid_client_ca_file_leaves_the_old_ca_in_place(
    authenticating_server: Server, authority: trustme.CA, registry: Registry, client_ca: Path
) -> None:
    client_ca.write_text("none")
    wait_for(lambda: any("the client CA cannot be used" in line["message"] for line in authenticating_server.log()))
    send_review(authenticating_server, trust(authenticating_server, authority), registry)
    assert registry.clients


def test_without_a_client_ca_no_review_causes_a_registry_lookup(servers: Servers, registry: Registry) -> None:
    server = servers.start(registry_plain_http=registry.host, registry_local=registry.host)
    send_review(server, trust(server, None), registry)
    assert not registry.clients


def test_with_the_registry_option_every_client_causes_a_registry_lookup(servers: Servers, registry: Registry) -> None:
    server = servers.start(registry_plain_http=registry.host, registry_local=registry.host, registry=True)
    send_review(server, trust(server, None), registry)
    assert registry.clients


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--pull-secrets"], "set --client-ca"),
        (["--registry-credentials", "{credentials}"], "set --client-ca"),
        (["--client-name", "kube-apiserver"], "--client-name requires --client-ca"),
        (["--client-ca", "{credentials}"], "cannot be used"),
    ],
)
def test_a_start_with_conflicting_or_unusable_options_fails_with_a_message(
    certificate: Path, tmp_path: Path, flags: list[str], message: str
) -> None:
    credentials = tmp_path / "config.json"
    credentials.write_text('{"auths": {"registry.example.com": {"auth": "YTpi"}}}')
    command = serve_command(certificate, {"port": 0, "registry": True})
    given = [flag.format(credentials=credentials) for flag in flags]
    ended = subprocess.run([*command, *given], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode
    assert message in ended.stderr + ended.stdout
