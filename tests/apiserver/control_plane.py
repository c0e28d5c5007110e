"""Runs a real etcd and kube-apiserver on loopback; like envtest, it finds their binaries by KUBEBUILDER_ASSETS.

https://book.kubebuilder.io/reference/envtest
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests import builders
from tests.builders import Json, Labels
from webhook.core.annotations import INJECTED_LABEL

ASSETS = Path(os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin"))
BINARIES = [ASSETS / "etcd", ASSETS / "kube-apiserver"]
TOKEN = "a-token-of-this-test"
START_SECONDS = 60


def missing() -> str:
    """Return which binaries of the control plane are missing; empty if none is."""
    absent = [str(binary) for binary in BINARIES if not os.access(binary, os.X_OK)]
    return (
        f"no {' and no '.join(absent)} (setup-envtest installs them; KUBEBUILDER_ASSETS names the folder)"
        if absent
        else ""
    )


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@dataclass(frozen=True)
class ControlPlane:
    """A running API server and an administrator's client for it."""

    client: httpx.Client
    ca: Path
    """The certificate with which clients verify the server."""
    restart: Callable[[float], None]
    """Kills the API server, waits the given seconds, and starts it again at the same address; etcd keeps running."""

    def create_namespace(self, name: str, labels: Labels | None = None) -> None:
        self.client.post("/api/v1/namespaces", json=builders.namespace(name, labels)).raise_for_status()

    def create_pod(self, namespace: str, pod: Json, *, dry_run: bool = False) -> httpx.Response:
        parameters = {"dryRun": "All"} if dry_run else {}
        return self.client.post(f"/api/v1/namespaces/{namespace}/pods", json=pod, params=parameters)

    def try_pod(self, namespace: str, pod: Json) -> tuple[str, bool]:
        """Create a pod as a dry run; return the error, if any, and whether the pod is protected."""
        response = self.create_pod(namespace, pod, dry_run=True)
        if not response.is_success:
            return response.text, False
        return "", response.json()["metadata"].get("labels", {}).get(INJECTED_LABEL) == "true"


@contextmanager
def control_plane(directory: Path, services: str = "10.0.0.0/24") -> Iterator[ControlPlane]:
    """Run etcd and an API server with one cluster-admin token; `services` is the range of the cluster IPs."""
    client_port, peer_port, port = free_ports(3)
    key = rsa.generate_private_key(65537, 2048)
    (directory / "accounts.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (directory / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    etcd: list[str | Path] = [
        BINARIES[0],
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client_port}",
        f"--advertise-client-urls=http://127.0.0.1:{client_port}",
        f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}",
        f"--initial-cluster=default=http://127.0.0.1:{peer_port}",
        "--unsafe-no-fsync=true",
    ]
    api_server: list[str | Path] = [
        BINARIES[1],
        f"--etcd-servers=http://127.0.0.1:{client_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={directory / 'pki'}",
        f"--token-auth-file={directory / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={directory / 'accounts.key'}",
        f"--service-account-signing-key-file={directory / 'accounts.key'}",
        f"--service-cluster-ip-range={services}",
        "--allow-privileged=true",
        # No controller manager runs here, so the default ServiceAccounts do not exist.
        "--disable-admission-plugins=ServiceAccount",
    ]
    processes: list[subprocess.Popen[bytes]] = []

    def start(command: list[str | Path]) -> None:
        with (directory / f"{Path(command[0]).name}.log").open("ab") as log:
            processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def restart(pause: float) -> None:
        ended = processes.pop()
        ended.kill()
        ended.wait(30)
        time.sleep(pause)
        start(api_server)
        _client(directory, port, processes[1]).close()

    try:
        start(etcd)
        start(api_server)
        with closing(_client(directory, port, processes[1])) as client:
            yield ControlPlane(client, directory / "pki" / "apiserver.crt", restart)
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(30)


def _client(directory: Path, port: int, api_server: subprocess.Popen[bytes]) -> httpx.Client:
    """Wait until the API server is ready, and return a client; the server creates its certificate when it starts."""
    deadline = time.monotonic() + START_SECONDS
    certificate = directory / "pki" / "apiserver.crt"
    while time.monotonic() < deadline and api_server.poll() is None:
        if certificate.exists() and (directory / "pki" / "apiserver.key").exists():
            client = httpx.Client(
                base_url=f"https://127.0.0.1:{port}",
                verify=ssl.create_default_context(cafile=str(certificate)),
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=30,
            )
            try:
                # A pod is only admitted to an existing namespace; the API server creates `default` after its start.
                if client.get("/readyz").status_code == 200 and client.get("/api/v1/namespaces/default").is_success:
                    return client
            except httpx.TransportError:
                pass
            client.close()
        time.sleep(0.2)
    raise AssertionError(
        "the API server did not become ready:\n" + (directory / "kube-apiserver.log").read_text()[-3000:]
    )
