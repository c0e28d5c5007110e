"""Detection of images without a shell, as far as this is certain."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.images.oci import Descriptor, ExecutionConfig, HistoryEntry, ImageConfig, Manifest
from webhook.images.shell_detection import BASE_NAME, TABLE, shell_less_reason

LAYERS = [Descriptor("a layer")]
CERTIFICATES = "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BAZEL = "bazel build ..."
COPY = "COPY app /app # buildkit"


def reason_for(
    base: str = "",
    layers: list[Descriptor] = LAYERS,
    history: tuple[str, ...] = (),
    where: str = "manifest",
    **more: Any,
) -> str:
    named = {BASE_NAME: base} if base else {}
    process = ExecutionConfig(labels=named if where == "label" else None, **more)
    manifest = Manifest(Descriptor("c"), layers, named if where == "manifest" else {})
    config = ImageConfig(process, [HistoryEntry(step) for step in history])
    return shell_less_reason(manifest, config, named if where == "index" else {})


@pytest.mark.parametrize(
    "base",
    [
        "scratch",
        "gcr.io/distroless/static",
        "gcr.io/distroless/static-debian12:nonroot",
        "gcr.io/distroless/java21-debian12:latest",
        "gcr.io/distroless/base:nonroot@sha256:" + "a" * 64,
        "cgr.dev/chainguard/static:latest",
        "cgr.dev/example.com/static:1",
        "chainguard/static",
        "docker.io/chainguard/static:latest",
    ],
)
@pytest.mark.parametrize("where", ["manifest", "index", "label"])
def test_a_base_image_without_a_shell_is_reported(base: str, where: str) -> None:
    assert reason_for(base, where=where) == f"its base image is {base.partition('@')[0]}"


@pytest.mark.parametrize(
    "base",
    [
        "",
        "debian:12",
        "php:8.4-cli",
        "gcr.io/distroless/static:debug",
        "gcr.io/distroless/static:debug-nonroot",
        "gcr.io/distroless/static@sha256:" + "a" * 64,
        "cgr.dev/chainguard/static:latest-dev",
        "cgr.dev/chainguard/wolfi-base:latest",
        "example.com/gcr.io/distroless/static",
        "distroless/static",
        "No Name",
        "scratch:latest",
    ],
)
def test_no_other_base_image_is_reported(base: str) -> None:
    assert reason_for(base) == ""


def test_an_image_without_layers_has_no_shell() -> None:
    assert reason_for(layers=[]) == "it has no layers"


@pytest.mark.parametrize(
    "process",
    [
        {"entrypoint": ["/bin/sh", "-c", "worker"]},
        {"cmd": ["/bin/bash", "-c", "worker"]},
        {"entrypoint": ["/tini", "--"], "cmd": ["sh", "worker.sh"]},
        {"entrypoint": ["/busybox/sh"]},
    ],
)
def test_an_image_that_runs_a_shell_has_one(process: dict[str, Any]) -> None:
    assert reason_for("gcr.io/distroless/static", **process) == ""
    assert reason_for(layers=[], **process) == ""


def test_distroless_is_recognized_by_its_history_and_environment() -> None:
    assert reason_for(history=(BAZEL, BAZEL, COPY), env=[PATH, CERTIFICATES]) == "its base image is distroless"


@pytest.mark.parametrize(
    ("history", "environment"),
    [
        ((), [PATH, CERTIFICATES]),
        ((BAZEL, COPY), [PATH]),
        ((BAZEL, COPY), None),
        ((COPY, BAZEL), [PATH, CERTIFICATES]),
        ((BAZEL, COPY), [f"{PATH}:/busybox", CERTIFICATES]),
        ((BAZEL, "/bin/sh -c #(nop) ADD file:1234 in / "), [PATH, CERTIFICATES]),
        ((BAZEL, "RUN /bin/sh -c apt-get update # buildkit"), [PATH, CERTIFICATES]),
    ],
)
def test_an_uncertain_history_or_environment_is_not_reported(
    history: tuple[str, ...], environment: list[str] | None
) -> None:
    assert reason_for(history=history, env=environment) == ""


def test_the_base_image_in_the_manifest_takes_precedence_over_the_label() -> None:
    labels = {BASE_NAME: "gcr.io/distroless/static"}
    manifest = Manifest(Descriptor("c"), LAYERS, {BASE_NAME: "debian:12"})
    assert shell_less_reason(manifest, ImageConfig(ExecutionConfig(labels=labels)), {}) == ""


def test_every_row_of_the_table_has_a_source() -> None:
    assert all(row.source.startswith("https://") for row in TABLE.trace)
