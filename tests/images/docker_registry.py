"""A real registry on loopback: Debian's package docker-registry."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import trustme

from tests.images.oci_images import Blob, OciImage

BINARY = os.environ.get("DOCKER_REGISTRY") or shutil.which("docker-registry") or shutil.which("registry")
PASSWORDS = Path(__file__).parent / "htpasswd"
USER, PASSWORD = "worker", "secret"
START_SECONDS = 20


def missing_program() -> str:
    """Return an error if no registry program is installed, or an empty string."""
    return "" if BINARY else "no docker-registry in PATH (Debian: docker-registry; DOCKER_REGISTRY names the program)"


@dataclass(frozen=True)
class DockerRegistry:
    """A running registry."""

    host: str
    client: httpx.Client

    def push(self, repository: str, built: OciImage, tag: str = "latest") -> str:
        """Push an image, and return its name."""
        self._push_parts(repository, built)
        self._put_manifest(repository, tag, built.manifest)
        return f"{self.host}/{repository}:{tag}"

    def _push_parts(self, repository: str, built: OciImage) -> None:
        for blob in built.blobs:
            begun = self.client.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
            location = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": blob.digest})
            self.client.put(location, content=blob.content).raise_for_status()
        for part in built.parts:
            self._push_parts(repository, part)
            self._put_manifest(repository, part.digest, part.manifest)

    def _put_manifest(self, repository: str, version: str, manifest: Blob) -> None:
        self.client.put(
            f"/v2/{repository}/manifests/{version}",
            content=manifest.content,
            headers={"Content-Type": manifest.media_type},
        ).raise_for_status()


@contextmanager
def docker_registry(folder: Path, authority: trustme.CA | None = None) -> Iterator[DockerRegistry]:
    """Run a registry: over plain HTTP without credentials, or with a certificate of the authority for one user."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    tls = auth = ""
    if authority:
        leaf = authority.issue_cert("127.0.0.1")
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        tls = f"  tls: {{certificate: {folder / 'server.pem'}, key: {folder / 'server.pem'}}}\n"
        auth = f"auth: {{htpasswd: {{realm: test, path: {PASSWORDS}}}}}\n"
    (folder / "config.yml").write_text(
        "version: 0.1\n"
        "log: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'storage'}}}}}\n"
        f"http:\n  addr: {host}\n{tls}{auth}"
    )
    context = ssl.create_default_context()
    if authority:
        authority.configure_trust(context)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(BINARY), "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    client = httpx.Client(
        base_url=f"{'https' if authority else 'http'}://{host}",
        auth=(USER, PASSWORD) if authority else None,
        verify=context,
        trust_env=False,
    )
    try:
        _wait(client, process, folder / "log")
        yield DockerRegistry(host, client)
    finally:
        client.close()
        process.terminate()
        process.wait(10)


def _wait(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.get("/v2/").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())
