"""Lookups of images at a real registry."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.images.docker_registry import PASSWORD, USER, DockerRegistry
from tests.images.lookups import (
    FakeClock,
    expect_image,
    expect_unavailable,
    keyring,
    look_up,
    open_lookup,
    pod_of,
    trust,
)
from tests.images.oci_images import DOCKER, OCI, Types, build_image, build_index
from webhook.core.image_config import Image, Unavailable
from webhook.core.reasons import Reason
from webhook.images.credentials import Credential, Keyring
from webhook.images.options import LookupOptions, Platform

CONSUME = {"Entrypoint": ["php"], "Cmd": ["bin/console", "messenger:consume"], "StopSignal": "SIGQUIT"}
every_type = pytest.mark.parametrize("types", [OCI, DOCKER], ids=["oci", "docker"])


def options(registry: DockerRegistry, **more: Any) -> LookupOptions:
    return LookupOptions(plain_http=(registry.host,), local_hosts=(registry.host,), **more)


def look_up_once(
    options: LookupOptions, image: str, credentials: Keyring | None = None, **spec: Any
) -> Image | Unavailable:
    async def request() -> Image | Unavailable:
        async with open_lookup(options, credentials=credentials) as lookup:
            return await look_up(lookup, image, **spec)

    return asyncio.run(request())


@every_type
@pytest.mark.parametrize(
    ("process", "entrypoint", "cmd"),
    [
        ({"Entrypoint": ["celery", "worker"]}, ("celery", "worker"), ()),
        ({"Cmd": ["celery", "worker"]}, (), ("celery", "worker")),
        (CONSUME, ("php",), ("bin/console", "messenger:consume")),
        ({"Entrypoint": ["/bin/sh", "-c", "rq worker"], "Cmd": None}, ("/bin/sh", "-c", "rq worker"), ()),
        ({}, (), ()),
        (None, (), ()),
    ],
    ids=["entrypoint", "cmd", "both", "shell-form", "neither", "no-process"],
)
def test_a_lookup_returns_the_command_of_the_image(
    open_registry: DockerRegistry,
    types: Types,
    process: dict[str, Any] | None,
    entrypoint: tuple[str, ...],
    cmd: tuple[str, ...],
) -> None:
    name = open_registry.push("team/app", build_image(process, types))
    image = expect_image(look_up_once(options(open_registry), name))
    assert (image.entrypoint, image.cmd) == (entrypoint, cmd)


def test_a_lookup_returns_the_stop_signal_and_the_source_of_the_image(open_registry: DockerRegistry) -> None:
    built = build_image(CONSUME)
    image = expect_image(look_up_once(options(open_registry), open_registry.push("team/app", built)))
    assert image.stop_signal == "SIGQUIT"
    assert image.source == f"{open_registry.host}/team/app@{built.digest[:19]}…"


def test_an_image_is_found_by_its_digest_whatever_its_tag(open_registry: DockerRegistry) -> None:
    built = build_image({"Entrypoint": ["one"]})
    open_registry.push("team/app", built, "moved")
    name = open_registry.push("team/app", build_image({"Entrypoint": ["two"]}), "moved")
    assert expect_image(look_up_once(options(open_registry), f"{name}@{built.digest}")).entrypoint == ("one",)


@every_type
@pytest.mark.parametrize(
    ("spec", "architecture"),
    [
        ({}, "amd64"),
        ({"nodeSelector": {"kubernetes.io/arch": "arm64"}}, "arm64"),
        ({"nodeSelector": {"beta.kubernetes.io/arch": "arm"}}, "arm"),
    ],
    ids=["default", "arm64", "arm"],
)
def test_the_variant_for_the_pods_platform_is_used(
    open_registry: DockerRegistry, types: Types, spec: dict[str, Any], architecture: str
) -> None:
    variants = {
        "unknown/unknown": build_image({"Entrypoint": ["attestation"]}, types),
        "linux/arm/v7": build_image({"Entrypoint": ["arm"]}, types),
        "linux/arm64/v8": build_image({"Entrypoint": ["arm64"]}, types),
        "linux/amd64": build_image({"Entrypoint": ["amd64"]}, types),
    }
    name = open_registry.push("team/many", build_index(variants, types))
    assert expect_image(look_up_once(options(open_registry), name, **spec)).entrypoint == (architecture,)


def test_the_platform_option_sets_the_default_variant(open_registry: DockerRegistry) -> None:
    variants = {name: build_image({"Entrypoint": [name]}) for name in ("linux/amd64", "linux/arm64")}
    name = open_registry.push("team/two", build_index(variants))
    chosen = options(open_registry, platform=Platform("linux", "arm64"))
    assert expect_image(look_up_once(chosen, name)).entrypoint == ("linux/arm64",)


def test_without_a_variant_for_the_platform_the_error_lists_the_existing_ones(open_registry: DockerRegistry) -> None:
    variants = {
        "linux/amd64": build_image(),
        "linux/arm/v7": build_image({"Cmd": ["x"]}),
        "unknown/unknown": build_image({"Cmd": ["y"]}),
    }
    name = open_registry.push("team/missing", build_index(variants))
    result = look_up_once(options(open_registry), name, nodeSelector={"kubernetes.io/arch": "s390x"})
    detail = expect_unavailable(result, Reason.IMAGE_PLATFORM_MISSING)
    assert detail == "it is not for linux/s390x, but for linux/amd64, linux/arm/v7"


def test_the_only_variant_of_an_index_is_used_whatever_the_platform(open_registry: DockerRegistry) -> None:
    variants = {
        "linux/arm64": build_image({"Entrypoint": ["arm64"]}),
        "unknown/unknown": build_image({"Cmd": ["attestation"]}),
    }
    name = open_registry.push("team/single", build_index(variants))
    assert expect_image(look_up_once(options(open_registry), name)).entrypoint == ("arm64",)


def test_an_image_without_layers_has_no_shell(open_registry: DockerRegistry) -> None:
    name = open_registry.push("team/empty", build_image({"Entrypoint": ["/app"]}, layers=()))
    assert expect_image(look_up_once(options(open_registry), name)).shell_less == "it has no layers"


def test_an_image_that_is_distroless_by_its_annotation_has_no_shell(open_registry: DockerRegistry) -> None:
    base = {"org.opencontainers.image.base.name": "gcr.io/distroless/static:nonroot"}
    name = open_registry.push("team/static", build_image({"Entrypoint": ["/app"]}, annotations=base))
    assert (
        expect_image(look_up_once(options(open_registry), name)).shell_less
        == "its base image is gcr.io/distroless/static:nonroot"
    )


def test_an_artifact_that_is_not_an_image_is_rejected_and_its_type_reported(open_registry: DockerRegistry) -> None:
    chart = "application/vnd.cncf.helm.config.v1+json"
    name = open_registry.push("team/chart", build_image(config_type=chart))
    assert chart in expect_unavailable(look_up_once(options(open_registry), name), Reason.IMAGE_INVALID)


@pytest.mark.parametrize("version", [":missing", "@sha256:" + "0" * 64])
def test_a_missing_tag_or_digest_is_reported_as_not_found(open_registry: DockerRegistry, version: str) -> None:
    open_registry.push("team/app", build_image())
    detail = expect_unavailable(
        look_up_once(options(open_registry), f"{open_registry.host}/team/app{version}"), Reason.IMAGE_NOT_FOUND
    )
    assert version[1:] in detail


def test_a_tag_is_cached_for_a_while_and_then_requested_again(open_registry: DockerRegistry) -> None:
    clock = FakeClock()

    async def scenario() -> list[tuple[str, ...]]:
        name = open_registry.push("team/moving", build_image({"Entrypoint": ["one"]}))
        seen = []
        async with open_lookup(options(open_registry, tag_seconds=60), clock=clock) as lookup:
            seen.append(expect_image(await look_up(lookup, name)).entrypoint)
            open_registry.push("team/moving", build_image({"Entrypoint": ["two"]}))
            seen.append(expect_image(await look_up(lookup, name)).entrypoint)
            clock.seconds = 61
            seen.append(expect_image(await look_up(lookup, name)).entrypoint)
        return seen

    assert asyncio.run(scenario()) == [("one",), ("one",), ("two",)]


def test_every_image_of_a_pod_is_found_or_has_a_reason(open_registry: DockerRegistry) -> None:
    name = open_registry.push("team/app", build_image(CONSUME))
    images = {"good": name, "missing": f"{name}-not", "wrong": "No Name", "none": None}
    containers = [{"name": key, **({"image": image} if image else {})} for key, image in images.items()]

    async def scenario() -> dict[str, Image | Unavailable]:
        async with open_lookup(options(open_registry)) as lookup:
            return await lookup.find(pod_of("", containers=containers), [*images, "unheard-of"], "", 8)

    found = asyncio.run(scenario())
    expect_image(found["good"])
    expect_unavailable(found["missing"], Reason.IMAGE_NOT_FOUND)
    for container in ("wrong", "none", "unheard-of"):
        expect_unavailable(found[container], Reason.IMAGE_NAME_INVALID)


def test_a_registry_with_tls_gets_the_password(closed_registry: DockerRegistry, ca_file: Path) -> None:
    name = closed_registry.push("team/private", build_image(CONSUME))
    credentials = keyring(closed_registry.host, USER, PASSWORD)
    assert expect_image(look_up_once(trust(ca_file), name, credentials)).entrypoint == ("php",)


def test_the_operators_credentials_are_read_from_a_file_and_again_when_it_changes(
    closed_registry: DockerRegistry, ca_file: Path, tmp_path: Path
) -> None:
    name = closed_registry.push("team/private", build_image(CONSUME))
    file = tmp_path / "config.json"
    clock = FakeClock()

    def write(password: str) -> None:
        auths = {closed_registry.host: {"username": USER, "password": password}}
        file.write_text(json.dumps({"auths": auths}))

    async def scenario() -> None:
        async with open_lookup(trust(ca_file, credentials_file=file), clock=clock) as lookup:
            expect_unavailable(await look_up(lookup, name), Reason.IMAGE_DENIED)
            write("an old one")
            expect_unavailable(await look_up(lookup, name), Reason.IMAGE_DENIED)
            write(PASSWORD)
            expect_image(await look_up(lookup, name))

    asyncio.run(scenario())


def test_without_credentials_the_error_says_what_to_configure(closed_registry: DockerRegistry, ca_file: Path) -> None:
    name = closed_registry.push("team/private", build_image(CONSUME))
    detail = expect_unavailable(look_up_once(trust(ca_file), name), Reason.IMAGE_DENIED)
    assert "401" in detail
    assert "imagePullSecrets" in detail
    assert "docs/images.md" in detail


def test_with_a_wrong_password_the_error_says_that_credentials_were_used(
    closed_registry: DockerRegistry, ca_file: Path
) -> None:
    name = closed_registry.push("team/private", build_image(CONSUME))
    credentials = keyring(closed_registry.host, USER, "wrong-password")
    detail = expect_unavailable(look_up_once(trust(ca_file), name, credentials), Reason.IMAGE_DENIED)
    assert "for the credentials in use" in detail
    assert "wrong-password" not in detail


def test_each_of_several_credentials_is_tried(closed_registry: DockerRegistry, ca_file: Path) -> None:
    name = closed_registry.push("team/private", build_image(CONSUME))
    host = closed_registry.host
    several = Keyring([(f"{host}/team", Credential(USER, "wrong")), (host, Credential(USER, PASSWORD))])
    expect_image(look_up_once(trust(ca_file), name, several))


def test_a_certificate_of_an_unknown_authority_is_not_trusted(closed_registry: DockerRegistry) -> None:
    detail = expect_unavailable(
        look_up_once(LookupOptions(local_hosts=("*",)), f"{closed_registry.host}/team/private"), Reason.REGISTRY_FAILED
    )
    assert "certificate is not trusted" in detail
    assert "--registry-ca" in detail


def test_plain_http_is_not_used_unless_allowed(open_registry: DockerRegistry) -> None:
    strict = replace(options(open_registry), plain_http=())
    detail = expect_unavailable(
        look_up_once(strict, open_registry.push("team/app", build_image())), Reason.REGISTRY_FAILED
    )
    assert "--registry-plain-http" in detail
