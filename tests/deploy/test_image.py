"""The Dockerfile, read as text; tests/image builds it."""

from __future__ import annotations

import json
import re
from importlib.metadata import requires

from packaging.requirements import Requirement

from tests.deploy.rendered import ROOT, installed, select_one

DOCKERFILE = (ROOT / "Dockerfile").read_text()
BUILD_BACKEND = "hatchling"


def instructions() -> list[tuple[str, str]]:
    """Return instructions and their arguments; continued lines are joined, comments left out."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())
    ]


def arguments(word: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == word]


def test_every_instruction_is_known() -> None:
    known = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in instructions()} <= known


def test_the_base_image_is_an_argument_with_an_optional_digest_and_is_not_shipped() -> None:
    build, shipped = arguments("FROM")
    assert (build, shipped) == ("${BASE} AS build", "scratch")
    word, base = instructions()[0]
    assert word == "ARG"
    assert re.fullmatch(r"BASE=python:3\.\d+-slim(@sha256:[0-9a-f]{64})?", base)


def test_every_installed_package_is_locked_by_hash() -> None:
    installs = re.findall(r"pip (?:--python \S+ )?install (.+?)(?= && |$)", "\n".join(arguments("RUN")), re.MULTILINE)
    assert len(installs) == 3
    assert all("--require-hashes" in options or "--no-deps --no-index" in options for options in installs)


def test_the_package_and_the_standard_library_are_compiled_without_timestamps() -> None:
    compilations = re.findall(r"-m compileall (.+?)(?= && |$)", "\n".join(arguments("RUN")), re.MULTILINE)
    assert [options.split()[-1] for options in compilations] == ["/venv/lib", "/usr/local/lib/python3.*"]
    assert all("-j 1 --invalidation-mode unchecked-hash" in options for options in compilations)


def test_the_build_backend_and_its_requirements_are_in_the_lock() -> None:
    needed = {
        requirement.name
        for requirement in map(Requirement, requires(BUILD_BACKEND) or ())
        if requirement.marker is None or requirement.marker.evaluate({"python_version": "3.13", "extra": ""})
    }
    assert set(locked("build")) >= needed | {BUILD_BACKEND}


def test_the_image_and_the_tests_build_the_wheel_with_the_same_versions() -> None:
    assert locked("build").items() <= locked("dev").items()


def locked(name: str) -> dict[str, str]:
    """Return the versions in a lock."""
    lock = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock, re.MULTILINE))


def test_every_copied_file_exists_and_is_not_ignored() -> None:
    sources = [source for line in arguments("COPY") if not line.startswith("--from") for source in line.split()[:-1]]
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(sources) == sorted(allowed)
    assert all((ROOT / source).exists() for source in sources)


def test_the_user_is_a_number_so_that_the_kubelet_can_verify_that_it_is_not_root() -> None:
    """https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#implicit-group-memberships-defined-in-etc-group-for-containers"""
    context = select_one(installed("default"), "Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert context["runAsNonRoot"] is True
    (user,) = arguments("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_the_program_is_the_first_process_and_gets_the_signals() -> None:
    (entrypoint,), (command,) = arguments("ENTRYPOINT"), arguments("CMD")
    assert json.loads(entrypoint) == ["/venv/bin/graceful-worker"]
    (container,) = select_one(installed("default"), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert json.loads(command) == container["args"]
    assert "command" not in container


def test_the_health_check_requests_the_served_port_with_a_program_in_the_image() -> None:
    (check,) = arguments("HEALTHCHECK")
    program, option, code = json.loads(check.partition("CMD ")[2])
    assert (program, option) == ("/venv/bin/python", "-c")
    assert "https://127.0.0.1:8443/healthz" in code
    compile(code, "HEALTHCHECK", "exec")
