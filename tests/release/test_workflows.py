"""The workflows: every action is pinned to a commit, and each job has only the permissions that it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.deploy.rendered import ROOT

WORKFLOWS = {file.stem: file.read_text() for file in sorted((ROOT / ".github/workflows").iterdir())}
every_workflow = pytest.mark.parametrize("name", WORKFLOWS)
PUBLISHING = {
    "prepare": {"contents": "read"},
    "image": {"contents": "read", "packages": "write", "id-token": "write", "attestations": "write"},
    "manifests": {"contents": "read", "packages": "write", "id-token": "write", "attestations": "write"},
    "pypi": {"id-token": "write"},
    "github": {"contents": "write"},
}


def read(name: str) -> dict[str, Any]:
    workflow: dict[str, Any] = YAML(typ="safe").load(WORKFLOWS[name])
    return workflow


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in read(name)["jobs"].values():
        yield from job["steps"]


@every_workflow
def test_every_action_is_named_by_its_commit_with_the_version_beside_it(name: str) -> None:
    uses = re.findall(r"uses: (.+)", WORKFLOWS[name])
    assert uses
    assert [use for use in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []


def test_an_action_is_the_same_everywhere() -> None:
    uses = {use for text in WORKFLOWS.values() for use in re.findall(r"uses: (.+)", text)}
    assert len({use.partition("@")[0] for use in uses}) == len(uses)


@every_workflow
def test_no_checkout_leaves_its_credentials_behind(name: str) -> None:
    for step in steps(name):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_only_the_release_may_write_and_each_of_its_jobs_only_what_it_publishes() -> None:
    assert read("ci")["permissions"] == read("nightly")["permissions"] == {"contents": "read"}
    release = read("release")
    assert release["permissions"] == {}
    assert {name: job["permissions"] for name, job in release["jobs"].items()} == PUBLISHING


def test_where_images_go_is_said_once() -> None:
    assert re.findall(r"\S*ghcr\.io\S*", WORKFLOWS["release"]) == ["ghcr.io/${{", "ghcr.io,", "ghcr.io,"]


def test_nothing_is_published_before_all_that_can_fail_beforehand() -> None:
    jobs = read("release")["jobs"]
    assert "needs" not in jobs["prepare"]
    assert all("prepare" in jobs[name]["needs"] for name in jobs if name != "prepare")
    assert set(jobs["github"]["needs"]) == set(jobs) - {"github"}


def test_the_base_of_the_release_is_the_one_of_the_dockerfile() -> None:
    base = re.search(r"^ARG BASE=([^@\n]+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base is not None
    assert read("release")["env"]["BASE"] == base[1]
