"""Components in every combination and order: none removes what another needs, or `serve` refuses to start."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from certs.authority import issue_certificate
from tests.deploy.rendered import COMPONENTS, NAME, WATCH, Manifest, combined, entries, faults, select_kind, select_one
from tests.deploy.test_rights import AUTHORITY, DRAINS, EVICTIONS, PULL_SECRETS, Right, rights
from tests.golden.schemas import RELEASES
from webhook.cli.commands import main
from webhook.server import https_server
from webhook.server.options import ServerOptions

INTERACTING = ("cert-manager", "no-eviction-guard", "no-registry", "pull-secrets")
"""The components that change the program's options, its network connections, and its permissions."""
OTHERS = tuple(name for name in COMPONENTS if name not in INTERACTING)
PAIRS = [*combinations(COMPONENTS, 2)]
INTERACTING_SUBSETS = [subset for count in range(len(INTERACTING) + 1) for subset in combinations(INTERACTING, count)]
# All subsets would take minutes, and the other components change nothing that these change.
SUBSETS = sorted({*PAIRS, *INTERACTING_SUBSETS, *((*subset, *OTHERS) for subset in INTERACTING_SUBSETS)})
API_SERVER = {443, 6443, 8443, 16443}
REGISTRIES = {443}
DNS = {53, 5353}
"""5353 is OpenShift's: a policy sees the port behind the Service."""

every_subset = pytest.mark.parametrize("components", SUBSETS, ids="+".join)


def needs_token(components: Collection[str]) -> bool:
    """Return whether the program connects to the API server: for its own CA, or to read the pods' Secrets."""
    return "cert-manager" not in components or "pull-secrets" in components


def queries_registries(components: Collection[str]) -> bool:
    """Return whether images are looked up: not if no client can authenticate as the API server."""
    return not {"no-registry", "cert-manager"} & set(components)


def guards_evictions(components: Collection[str]) -> bool:
    """Return whether evictions are sent: not if no client can authenticate as the API server."""
    return not {"no-eviction-guard", "cert-manager"} & set(components)


def expected_rights(components: Collection[str]) -> set[Right]:
    return (
        (set() if "cert-manager" in components else AUTHORITY)
        | (EVICTIONS if guards_evictions(components) else set())
        | (PULL_SECRETS if "pull-secrets" in components else set())
    )


def pod_spec(manifests: list[Manifest]) -> Manifest:
    spec: Manifest = select_one(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def has_token(manifests: list[Manifest]) -> bool:
    """The field of the pod takes precedence over that of the ServiceAccount.

    https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting
    """
    of_the_account = select_one(manifests, "ServiceAccount")["automountServiceAccountToken"]
    return bool(pod_spec(manifests).get("automountServiceAccountToken", of_the_account))


def open_ports(manifests: list[Manifest]) -> set[int]:
    """Return the ports that the pod may connect to; all policies that select a pod are additive."""
    labels = select_one(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    policies = [policy["spec"] for policy in select_kind(manifests, "NetworkPolicy")]
    specs = [spec for spec in policies if spec["podSelector"]["matchLabels"].items() <= labels]
    assert any("Egress" in spec["policyTypes"] for spec in specs)
    return {port["port"] for spec in specs for rule in spec.get("egress", ()) for port in rule["ports"]}


def environment(manifests: list[Manifest]) -> dict[str, str]:
    (container,) = pod_spec(manifests)["containers"]
    variables = {variable["name"]: variable.get("value", NAME) for variable in container["env"]}
    assert len(variables) == len(container["env"])
    return variables


def without_order(manifests: list[Manifest]) -> list[Any]:
    """Sort objects and variables, because their order has no meaning."""
    for container in pod_spec(manifests)["containers"]:
        container["env"].sort(key=lambda variable: variable["name"])
    return sorted(manifests, key=lambda manifest: (manifest["kind"], manifest["metadata"]["name"]))


@every_subset
def test_a_combination_is_valid_and_has_what_it_needs_and_no_more(components: tuple[str, ...], tmp_path: Path) -> None:
    manifests = combined(components, tmp_path)
    assert faults(manifests, RELEASES[-1]) == {}
    assert has_token(manifests) is needs_token(components)
    reached = (API_SERVER if needs_token(components) else set()) | (
        REGISTRIES if queries_registries(components) else set()
    )
    assert open_ports(manifests) == reached | DNS
    assert rights(manifests) == expected_rights(components)
    assert rights(manifests, WATCH) == (DRAINS if "drain-watch" in components else set())
    assert bool(entries(manifests, "pods/eviction")) is guards_evictions(components)
    # Every binding has its role, and every role its binding.
    bindings = select_kind(manifests, "RoleBinding") + select_kind(manifests, "ClusterRoleBinding")
    roles = select_kind(manifests, "Role") + select_kind(manifests, "ClusterRole")
    assert sorted((b["roleRef"]["kind"], b["roleRef"]["name"]) for b in bindings) == sorted(
        (role["kind"], role["metadata"]["name"]) for role in roles
    )


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_the_order_of_two_components_does_not_matter(pair: tuple[str, str], tmp_path: Path) -> None:
    assert without_order(combined(pair, tmp_path)) == without_order(combined(pair[::-1], tmp_path))


def test_the_order_of_all_components_does_not_matter(tmp_path: Path) -> None:
    assert without_order(combined(COMPONENTS, tmp_path)) == without_order(combined(COMPONENTS[::-1], tmp_path))


def start(
    components: tuple[str, ...], directory: Path, monkeypatch: pytest.MonkeyPatch, *, token: bool
) -> tuple[Result, list[ServerOptions]]:
    """Start the program with the rendered settings, and a kubeconfig instead of a token; stop where it would serve.

    Return the result, and the options with which the program would serve, if it got that far.
    """
    issue_certificate(["localhost"]).write(directory)
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(
        """{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}],
        clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: a, user: {token: a}}]}"""
    )
    variables = environment(combined(components, directory))
    variables |= {name: str(directory / Path(value).name) for name, value in variables.items() if "_TLS_" in name}
    access = {"KUBECONFIG": str(kubeconfig if token else directory / "none")}
    served: list[ServerOptions] = []
    monkeypatch.setattr(https_server, "serve", lambda _, options: served.append(options))
    return CliRunner().invoke(main, ["serve"], env={**variables, **access}), served


@pytest.mark.parametrize("components", INTERACTING_SUBSETS, ids="+".join)
def test_a_combination_starts_or_reports_in_one_line_which_options_exclude_each_other(
    components: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, served = start(components, tmp_path, monkeypatch, token=True)
    if "pull-secrets" not in components or queries_registries(components):
        assert result.exit_code == 0, result.output
        (options,) = served
        assert (options.guard_off_reason == "") is guards_evictions(components)
        return
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "--pull-secrets" in result.stderr
    assert ("--no-registry" if "no-registry" in components else "--client-ca") in result.stderr


def test_pull_secrets_without_a_token_is_reported_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if someone had removed the token by a patch."""
    result, _ = start(("pull-secrets",), tmp_path, monkeypatch, token=False)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "--pull-secrets" in result.stderr
    assert "token" in result.stderr
