"""What the names of images and containers reveal: that an image has no shell, or that it serves."""

from __future__ import annotations

import pytest

from webhook.core.recognize import serving_images, shell_less_images
from webhook.core.recognize.image_names import ImageName, split_image_name
from webhook.core.recognize.serving_images import serves_by_image
from webhook.core.recognize.shell_less_images import explain_missing_shell, native_switch

DIGEST = "sha256:" + "a" * 64

WITHOUT = {
    "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.14.1": "its image is cloud-sql-connectors/cloud-sql-proxy",
    f"gcr.io/cloud-sql-connectors/cloud-sql-proxy@{DIGEST}": "its image is cloud-sql-connectors/cloud-sql-proxy",
    f"gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.14.1@{DIGEST}": "its image is cloud-sql-connectors/cloud-sql-proxy",
    "gcr.io/cloudsql-docker/gce-proxy:1.33.14": "its image is cloudsql-docker/gce-proxy",
    "eu.gcr.io/cloudsql-docker/gce-proxy:1.16": "its image is cloudsql-docker/gce-proxy",
    "gcr.io/alloydb-connectors/alloydb-auth-proxy:1.13.1": "its image is alloydb-connectors/alloydb-auth-proxy",
    "fluent/fluent-bit": "its image is fluent/fluent-bit",
    "cr.fluentbit.io/fluent/fluent-bit:3.1.9": "its image is fluent/fluent-bit",
    "registry.example.com:5000/mirror/fluent/fluent-bit:3.1.9": "its image is fluent/fluent-bit",
    "otel/opentelemetry-collector-contrib:0.112.0": "its image is otel/opentelemetry-collector-contrib",
    "ghcr.io/open-telemetry/opentelemetry-collector-releases/opentelemetry-collector-k8s:0.112.0": (
        "its image is opentelemetry-collector-releases/opentelemetry-collector-k8s"
    ),
    "docker.io/daprio/daprd:1.14.4": "its image is daprio/daprd",
    "ghcr.io/dapr/daprd:1.14.4-mariner": "its image is dapr/daprd",
    "quay.io/oauth2-proxy/oauth2-proxy:v7.7.1": "its image is oauth2-proxy/oauth2-proxy",
    "quay.io/oauth2-proxy/oauth2-proxy:v7.10.0": "its image is oauth2-proxy/oauth2-proxy",
    "quay.io/brancz/kube-rbac-proxy:v0.18.1": "its image is brancz/kube-rbac-proxy",
    "hashicorp/consul-dataplane:1.6.0": "its image is hashicorp/consul-dataplane",
    "cr.l5d.io/linkerd/proxy:edge-24.9.1": "its image is linkerd/proxy",
    "nats:2.10": "its image is library/nats",
    "mirror.gcr.io/library/nats": "its image is library/nats",
    "timberio/vector:0.41.1-distroless-libc": "its image name contains distroless",
    "envoyproxy/envoy:distroless-v1.32.1": "its image name contains distroless",
    "docker.io/istio/proxyv2:1.24.0-distroless": "its image name contains distroless",
    "registry.example.com/distroless/proxy:1": "its image name contains distroless",
    "gcr.io/distroless/static-debian12:nonroot": "its image is gcr.io/distroless/static-debian12",
    "cgr.dev/chainguard/static:latest": "its image is cgr.dev/chainguard/static",
}
WITH = (
    "",
    "nginx:1.29",
    "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.14.1-alpine",
    "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.14.1-bookworm",
    f"gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.14.1-alpine@{DIGEST}",
    "gcr.io/cloudsql-docker/gce-proxy:1.11",
    "gcr.io/cloudsql-docker/gce-proxy:1.33.14-buster",
    "cr.fluentbit.io/fluent/fluent-bit:3.1.9-debug",
    "ghcr.io/dapr/daprd:1.14.4-debug",
    "quay.io/oauth2-proxy/oauth2-proxy:v7.4.0",
    "quay.io/oauth2-proxy/oauth2-proxy:v7.7.1-alpine",
    "bitnami/oauth2-proxy:7.7.1",
    "bitnami/nats:2.10",
    "nats:2.10-alpine",
    "hashicorp/consul-dataplane:1.6.0-ubi",
    "amazon/aws-xray-daemon:3.x",
    "gcr.io/distroless/static-debian12:debug-nonroot",
    "example/other-fluent/fluent-bitten:1",
    "notfluent/fluent-bit",
    "registry.example.com/scratch:1",
    "registry.example.com:5000/shop",
)


@pytest.mark.parametrize("image", WITHOUT)
def test_an_image_without_a_shell_is_recognized(image: str) -> None:
    assert explain_missing_shell(image, "sidecar") == WITHOUT[image]


@pytest.mark.parametrize("image", WITH)
def test_no_other_image_is_reported_as_shell_less(image: str) -> None:
    assert explain_missing_shell(image, "sidecar") == ""


def test_a_proxy_is_recognized_by_its_container_name_too() -> None:
    assert explain_missing_shell("registry.example.com/mesh:1", "linkerd-proxy") == "it is linkerd-proxy"
    assert explain_missing_shell("registry.example.com/mesh:1", "istio-proxy") == ""


def test_service_meshes_have_their_own_switch_for_native_sidecars() -> None:
    assert native_switch("istio-proxy") == "sidecar.istio.io/nativeSidecar"
    assert native_switch("linkerd-proxy") == "config.linkerd.io/proxy-enable-native-sidecar"
    assert native_switch("nginx") == ""


def test_every_row_names_its_source() -> None:
    table = shell_less_images.TABLE
    sources = [row.source for row in table.base] + [row.source for row in table.program]
    sources += [row.source for row in table.mesh]
    assert all(source.startswith("https://") for source in sources)


def test_programs_are_listed_with_at_least_two_path_components() -> None:
    assert all("/" in image for program in shell_less_images.TABLE.program for image in program.images)


@pytest.mark.parametrize(
    "image",
    [
        "nginx",
        "nginx:1.29-alpine",
        f"docker.io/library/nginx@{DIGEST}",
        "registry.example.com:5000/team/nginx:1",
        "bitnami/pgbouncer:1.23",
        "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.14.1",
        "timberio/vector:0.41.1-alpine",
        "gcr.io/datadoghq/agent:7",
        "docker.io/istio/proxyv2:1.24.0",
        "envoyproxy/envoy:v1.32.1",
        "redis:7",
        "ghcr.io/dapr/daprd:1.14.4",
    ],
)
def test_an_image_that_serves_is_recognized(image: str) -> None:
    assert serves_by_image(image, "other")


@pytest.mark.parametrize("container", ["istio-proxy", "linkerd-proxy", "nginx", "vault-agent", "cloud-sql-proxy"])
def test_a_container_that_serves_is_recognized_by_its_name_whatever_its_image(container: str) -> None:
    assert serves_by_image("registry.example.com/app:1", container)
    assert serves_by_image("", container)


@pytest.mark.parametrize(
    "image",
    [
        "",
        "shop",
        "shop:nginx",
        "registry.example.com/nginx/worker:1",
        "nginx-worker",
        "example/agent",
        "example/vector",
    ],
)
def test_an_image_that_may_be_a_worker_is_not_reported_as_serving(image: str) -> None:
    assert not serves_by_image(image, "worker")


def test_no_name_is_listed_twice() -> None:
    for names in (
        [image for group in serving_images.TABLE.kind for image in group.images],
        [container for group in serving_images.TABLE.kind for container in group.containers],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("nginx", ("docker.io", "library/nginx", "", "")),
        ("nginx:1", ("docker.io", "library/nginx", "1", "")),
        ("index.docker.io/nginx", ("docker.io", "library/nginx", "", "")),
        ("team/app", ("docker.io", "team/app", "", "")),
        ("localhost/app", ("localhost", "app", "", "")),
        ("Host/app", ("host", "app", "", "")),
        ("ghcr.io:5000/a/b/c:1.2", ("ghcr.io:5000", "a/b/c", "1.2", "")),
        (f"ghcr.io/a@{DIGEST}", ("ghcr.io", "a", "", DIGEST)),
        (f"ghcr.io/a:1@{DIGEST}", ("ghcr.io", "a", "1", DIGEST)),
    ],
)
def test_an_image_name_is_split_as_in_container_runtimes(image: str, parts: tuple[str, ...]) -> None:
    assert split_image_name(image) == ImageName(*parts)
