"""Manifests and configurations are parsed as in container runtimes: Go accepts JSON keys in any case."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.growth import growth
from tests.images.oci_images import OCI
from webhook.core.reasons import Reason
from webhook.images.errors import LookupFailed
from webhook.images.oci import HistoryEntry, ImageConfig, Index, Manifest, as_strings, parse_config, parse_manifest
from webhook.images.options import Platform
from webhook.images.platform import choose_manifest

DIGEST = f"sha256:{'0' * 64}"
KEYS = ("Entrypoint", "Cmd", "StopSignal", "ExposedPorts", "Env", "Labels")
VALUES: tuple[Any, ...] = (["celery"], ["worker"], "SIGQUIT", {"80/tcp": {}}, ["A=b"], {"cmd": "a label"})


def config_of(text: str) -> ImageConfig:
    return parse_config(text.encode())


@pytest.mark.parametrize("write", [str, str.lower, str.upper, str.swapcase])
def test_the_keys_of_a_configuration_may_be_in_any_case(write: Any) -> None:
    process = dict(zip(map(write, KEYS), VALUES, strict=True))
    config = config_of(json.dumps({write("config"): process, write("history"): [{write("created_by"): "RUN"}]}))
    read = config.execution
    assert (read.entrypoint, read.cmd, read.stop_signal, read.exposed_ports, read.env) == VALUES[:-1]
    assert set(read.labels or ()) <= {"cmd", "Cmd"}
    assert config.history == [HistoryEntry("RUN")]


@pytest.mark.parametrize("key", ["Config", "CONFIG", "config"])
def test_values_that_look_like_keys_stay_unchanged(key: str) -> None:
    words = ["entrypoint", '"cmd": ', "cmd", ":", 'say "entrypoint": no', "\\"]
    assert config_of(json.dumps({key: {"cmd": words}})).execution.cmd == words


@pytest.mark.parametrize(
    ("first", "second"), [("Entrypoint", "entrypoint"), ("entrypoint", "Entrypoint"), ("ENTRYPOINT", "entrypoint")]
)
def test_the_last_of_several_equal_keys_counts_as_in_go(first: str, second: str) -> None:
    assert config_of(f'{{"config": {{"{first}": ["a"], "{second}" : ["b"]}}}}').execution.entrypoint == ["b"]


def test_letters_that_go_folds_to_ascii_are_folded_too() -> None:
    assert config_of('{"config": {"\u017ftop\u017fignal": "INT"}}').execution.stop_signal == "INT"


def test_keys_with_similar_names_are_ignored() -> None:
    assert config_of('{"configs": {"cmd": ["a"]}, "container_config": {"Cmd": ["b"]}}').execution.cmd is None


def manifest(**more: Any) -> dict[str, Any]:
    part = {"MEDIATYPE": OCI["config"], "Digest": DIGEST, "size": 1}
    return {"SchemaVersion": 2, "mediatype": OCI["manifest"], "Config": part, "LAYERS": [part], **more}


def test_the_keys_of_a_manifest_may_be_in_any_case() -> None:
    read = parse_manifest(json.dumps(manifest()).encode(), "")
    assert isinstance(read, Manifest)
    assert (read.config.digest, len(read.layers)) == (DIGEST, 1)


def test_the_keys_of_an_index_may_be_in_any_case() -> None:
    entry = {"Digest": DIGEST, "Platform": {"OS": "linux", "Architecture": "arm", "Variant": "v7"}}
    read = parse_manifest(json.dumps({"Manifests": [entry]}).encode(), OCI["index"])
    assert isinstance(read, Index)
    platform = read.manifests[0].platform
    assert platform
    assert (platform.os, platform.architecture, platform.variant) == ("linux", "arm", "v7")


@pytest.mark.parametrize("more", [{"Manifests": []}, {"MANIFESTS": []}, {"FSLayers": []}, {"MediaType": OCI["index"]}])
def test_a_document_that_go_could_parse_as_a_manifest_or_an_index_is_rejected(more: dict[str, Any]) -> None:
    with pytest.raises(LookupFailed) as failed:
        parse_manifest(json.dumps(manifest(**more)).encode(), "")
    assert failed.value.reason is Reason.IMAGE_INVALID


def nulls(document: Any) -> Any:
    """Return a document with null in place of every string and number."""
    if isinstance(document, dict):
        return {key: nulls(value) for key, value in document.items()}
    return list(map(nulls, document)) if isinstance(document, list) else None


def test_null_is_the_empty_value_in_a_configuration() -> None:
    document = {
        "config": dict(zip(KEYS, VALUES, strict=True)) | {"Labels": {"a": "b"}},
        "history": [{"created_by": "RUN"}, None],
    }
    process = config_of(json.dumps(nulls(document))).execution
    assert [as_strings(words) for words in (process.entrypoint, process.cmd, process.env)] == [("",)] * 3
    assert not process.stop_signal
    assert config_of(json.dumps(dict.fromkeys(document))) == config_of("{}")
    assert config_of(json.dumps({"config": dict.fromkeys(KEYS)})).execution == config_of("{}").execution


def test_null_is_the_empty_value_in_a_manifest() -> None:
    part = {"mediaType": OCI["config"], "digest": DIGEST, "size": None, "platform": None, "annotations": {"a": None}}
    layers = [None, nulls(part)]
    document = {"schemaVersion": None, "mediaType": None, "manifests": None, "config": part, "layers": layers}
    read = parse_manifest(json.dumps({**document, "annotations": {"b": None}}).encode(), OCI["manifest"])
    assert isinstance(read, Manifest)
    assert (read.config.digest, len(read.layers)) == (DIGEST, 2)


def test_null_is_the_empty_value_in_an_index() -> None:
    entry = {"digest": DIGEST, "mediaType": None, "annotations": None}
    platforms = [None, dict.fromkeys(("os", "architecture", "variant"))]
    entries = [None, *({**entry, "platform": platform} for platform in platforms)]
    read = parse_manifest(json.dumps({"manifests": entries, "config": None, "layers": None}).encode(), OCI["index"])
    assert isinstance(read, Index)
    assert [entry.digest or "" for entry in read.manifests] == ["", DIGEST, DIGEST]
    with pytest.raises(LookupFailed, match="image-platform-missing"):
        choose_manifest(read.manifests, Platform("linux", "amd64"))


def test_invalid_utf_8_becomes_the_replacement_character_as_in_go() -> None:
    assert parse_config(b'{"author": "\xff", "config": {"Cmd": ["a\xff"]}}').execution.cmd == ["a\ufffd"]


@pytest.mark.parametrize("part", [b'"', b'"cmd', b'"cmd"', b'"cmd" ', b"cmd", b'"cmd":'])
def test_a_hostile_document_is_parsed_in_linear_time(part: bytes) -> None:
    def read(size: int) -> None:
        with pytest.raises(LookupFailed):
            parse_config(part * (size // len(part)))

    # Linear time gives a factor of 8, quadratic time one of 64.
    assert growth(read, 500_000, times=8) < 24
