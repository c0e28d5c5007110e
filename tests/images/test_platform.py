"""The platform of a pod, and the variant of an image for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.images.lookups import pod_of
from tests.images.oci_images import platform as parts
from webhook.core.reasons import Reason
from webhook.images.errors import LookupFailed
from webhook.images.oci import INDEX_TYPES, Descriptor, DescriptorPlatform
from webhook.images.options import Platform
from webhook.images.platform import choose_manifest, pod_platform

DEFAULT = Platform("linux", "amd64", "v2")


def affinity(*terms: list[dict[str, Any]] | None) -> dict[str, Any]:
    required = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


def among(*values: str, key: str = "kubernetes.io/arch", operator: str = "In") -> list[dict[str, Any]]:
    return [{"key": key, "operator": operator, "values": [*values]}]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "linux/amd64/v2"),
        ({"nodeSelector": {"disk": "ssd"}}, "linux/amd64/v2"),
        ({"nodeSelector": {"kubernetes.io/arch": "amd64"}}, "linux/amd64/v2"),
        ({"nodeSelector": {"kubernetes.io/arch": "arm64"}}, "linux/arm64"),
        ({"nodeSelector": {"beta.kubernetes.io/arch": "s390x", "beta.kubernetes.io/os": "linux"}}, "linux/s390x"),
        ({"nodeSelector": {"kubernetes.io/os": "freebsd"}}, "freebsd/amd64"),
        ({"os": {"name": "windows"}}, "windows/amd64"),
        ({"nodeSelector": {"kubernetes.io/arch": "a" * 64}}, "linux/amd64/v2"),
        ({"os": {"name": "a" * 64}}, "linux/amd64/v2"),
        (affinity(among("a" * 64)), "linux/amd64/v2"),
        (affinity(among("arm64")), "linux/arm64"),
        (affinity(among("arm64"), among("arm64", key="beta.kubernetes.io/arch")), "linux/arm64"),
        (affinity([*among("arm64", "amd64"), *among("arm64", "ppc64le")]), "linux/arm64"),
        (affinity(among("arm64", "amd64")), "linux/amd64/v2"),
        (affinity(among("arm64"), among("ppc64le")), "linux/amd64/v2"),
        (affinity(among("arm64"), among("a", key="zone")), "linux/amd64/v2"),
        (affinity(among("arm64", operator="NotIn")), "linux/amd64/v2"),
        (affinity(None), "linux/amd64/v2"),
        ({"nodeSelector": {"kubernetes.io/arch": "arm64"}, **affinity(among("amd64"))}, "linux/arm64"),
        ({"affinity": {"nodeAffinity": {}}}, "linux/amd64/v2"),
    ],
)
def test_a_pods_platform_is_that_of_the_nodes_it_selects(spec: dict[str, Any], expected: str) -> None:
    assert str(pod_platform(pod_of("app", **spec), DEFAULT)) == expected


def entry(text: str, **more: Any) -> Descriptor:
    """Return an entry of an index; its digest is the name of its platform, so that tests see which entry is chosen."""
    return Descriptor(text or "silent", platform=DescriptorPlatform(**parts(text)) if text else None, **more)


@pytest.mark.parametrize(
    ("entries", "wanted", "expected"),
    [
        ("linux/arm64 linux/amd64", "linux/amd64", "linux/amd64"),
        ("linux/arm64/v8 linux/amd64", "linux/arm64", "linux/arm64/v8"),
        ("linux/arm64 linux/amd64", "linux/arm64/v8", "linux/arm64"),
        ("linux/amd64/v3 linux/amd64/v2 linux/amd64", "linux/amd64", "linux/amd64"),
        ("linux/amd64 linux/amd64/v2 linux/amd64/v3", "linux/amd64/v2", "linux/amd64/v2"),
        ("linux/amd64 linux/amd64/v2 linux/amd64/v4", "linux/amd64/v3", "linux/amd64/v2"),
        ("linux/amd64/v3 linux/amd64/v2", "linux/amd64", "linux/amd64/v2"),
        ("linux/arm/v5 linux/arm/v7 linux/arm/v6", "linux/arm", "linux/arm/v7"),
        ("linux/arm/v5 linux/arm/v7 linux/arm/v6", "linux/arm/v6", "linux/arm/v6"),
        ("linux/x86_64", "linux/amd64", "linux/x86_64"),
        ("windows/amd64 linux/amd64", "linux/amd64", "linux/amd64"),
        ("unknown/unknown linux/amd64", "linux/amd64", "linux/amd64"),
    ],
)
def test_the_entry_for_the_platform_is_chosen(entries: str, wanted: str, expected: str) -> None:
    chosen = choose_manifest([entry(text) for text in entries.split()], Platform(**parts(wanted)))
    assert chosen.digest == expected


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        ("linux/arm64 linux/s390x", "linux/amd64"),
        ("windows/amd64 linux/arm64", "linux/amd64"),
        ("linux/arm/v7 linux/amd64", "linux/arm/v6"),
        ("unknown/unknown", "unknown/unknown"),
        ("", "linux/amd64"),
    ],
)
def test_a_missing_platform_is_not_replaced_by_another(entries: str, wanted: str) -> None:
    with pytest.raises(LookupFailed) as raised:
        choose_manifest([entry(text) for text in entries.split()], Platform(**parts(wanted)))
    assert raised.value.reason is Reason.IMAGE_PLATFORM_MISSING
    assert wanted in raised.value.unavailable.detail


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("linux/arm64", "linux/arm64"),
        ("linux/arm64 unknown/unknown", "linux/arm64"),
        ("linux/arm/v7 linux/arm/v6", "linux/arm/v6"),
        ("linux/aarch64 linux/arm64", "linux/aarch64"),
        ("windows/amd64 windows/amd64", "windows/amd64"),
    ],
)
@pytest.mark.parametrize("wanted", ["linux/amd64", "linux/arm/v5"])
def test_the_only_platform_of_an_index_is_chosen_whatever_is_wanted(entries: str, expected: str, wanted: str) -> None:
    chosen = choose_manifest([entry(text) for text in entries.split()], Platform(**parts(wanted)))
    assert chosen.digest == expected


def test_an_attestation_is_never_chosen_whatever_its_platform() -> None:
    attestation = entry("linux/amd64", annotations={"vnd.docker.reference.type": "attestation-manifest"})
    with pytest.raises(LookupFailed):
        choose_manifest([attestation], Platform("linux", "amd64"))


def test_the_only_image_of_an_index_is_chosen_if_it_has_no_platform() -> None:
    assert choose_manifest([entry(""), entry("unknown/unknown")], Platform("linux", "amd64")).digest == "silent"
    with pytest.raises(LookupFailed):
        choose_manifest([entry(""), entry("")], Platform("linux", "amd64"))


def test_a_nested_index_is_chosen_if_nothing_else_matches() -> None:
    entries = [entry("linux/arm64"), entry("", media_type=INDEX_TYPES[0])]
    assert choose_manifest(entries, Platform("linux", "amd64")).digest == "silent"
    assert choose_manifest(entries, Platform("linux", "arm64")).digest == "linux/arm64"


def test_the_error_lists_only_a_few_of_many_invented_platforms() -> None:
    entries = [entry(f"linux/{'x' * 1000}\n{number}") for number in range(1000)]
    with pytest.raises(LookupFailed) as raised:
        choose_manifest(entries, Platform("linux", "amd64"))
    assert raised.value.unavailable.detail.isprintable()
    assert len(raised.value.unavailable.detail) < 500
