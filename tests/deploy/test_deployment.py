"""The Deployment: unprivileged, spread over nodes, never below its replicas, and drained before it ends."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tests.deploy.rendered import NAME, WATCH, Manifest, every_installation, installed, select_kind, select_one
from webhook.cli.serve import serve_command
from webhook.cli.settings import ENVIRONMENT_PREFIX
from webhook.server.options import ServerOptions

DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(ServerOptions)}


def deployment(installation: str = "default") -> Manifest:
    spec: Manifest = select_one(installed(installation), "Deployment")["spec"]
    return spec


def pod(installation: str = "default") -> Manifest:
    spec: Manifest = deployment(installation)["template"]["spec"]
    return spec


def container(installation: str = "default") -> Manifest:
    (webhook,) = pod(installation)["containers"]
    return dict(webhook)


def violations(spec: dict[str, Any]) -> list[str]:
    """Return the violations of the Pod Security Standard "restricted" (and so "baseline").

    https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    """
    of_pod = spec.get("securityContext", {})
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    found += [f"volume {volume['name']}" for volume in spec.get("volumes", []) if not allowed & set(volume)]
    found += [name for name in ("sysctls", "windowsOptions", "seLinuxOptions", "appArmorProfile") if name in of_pod]
    for one in spec["containers"] + spec.get("initContainers", []):
        context = of_pod | one.get("securityContext", {})
        capabilities = context.get("capabilities", {})
        checks = {
            "privileged": not context.get("privileged"),
            "procMount": "procMount" not in context,
            "hostPort": not any(port.get("hostPort") for port in one.get("ports", [])),
            "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser": context.get("runAsUser") != 0,
            "seccompProfile": context.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "capabilities.drop": capabilities.get("drop") == ["ALL"],
            "capabilities.add": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
        }
        found += [f"{one['name']}: {name}" for name, holds in checks.items() if not holds]
    return found


@every_installation
def test_the_pod_complies_with_the_restricted_standard(installation: str) -> None:
    assert violations(pod(installation)) == []


@every_installation
def test_the_root_file_system_is_read_only(installation: str) -> None:
    assert container(installation)["securityContext"]["readOnlyRootFilesystem"] is True


@every_installation
def test_all_selectors_of_the_pods_match_their_labels(installation: str) -> None:
    manifests = installed(installation)
    labels = deployment(installation)["template"]["metadata"]["labels"]
    budget = select_one(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    policies = [
        policy["spec"]["podSelector"]["matchLabels"]
        for policy in select_kind(manifests, "NetworkPolicy")
        if policy["metadata"]["name"] != WATCH
    ]
    service = select_one(manifests, "Service")["spec"]["selector"]
    spread = [
        constraint["labelSelector"]["matchLabels"] for constraint in pod(installation)["topologySpreadConstraints"]
    ]
    selectors = [deployment(installation)["selector"]["matchLabels"], budget, service, *policies, *spread]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()


@every_installation
def test_there_are_two_or_more_replicas_and_an_eviction_always_leaves_one(installation: str) -> None:
    budget = select_one(installed(installation), "PodDisruptionBudget")["spec"]
    assert deployment(installation)["replicas"] >= 2
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_the_replicas_are_spread_over_nodes_and_zones_but_run_where_there_is_only_one() -> None:
    spread = {c["topologyKey"]: c["whenUnsatisfiable"] for c in pod()["topologySpreadConstraints"]}
    assert spread == {"kubernetes.io/hostname": "ScheduleAnyway", "topology.kubernetes.io/zone": "ScheduleAnyway"}


@every_installation
def test_a_rolling_update_ends_a_replica_only_when_another_is_ready(installation: str) -> None:
    strategy = deployment(installation)["strategy"]["rollingUpdate"]
    assert strategy["maxUnavailable"] == 0
    assert strategy["maxSurge"] >= 1
    assert deployment(installation)["minReadySeconds"] > 0


@every_installation
def test_the_grace_period_is_enough_for_the_drain_and_for_requests_in_flight(installation: str) -> None:
    values = {variable["name"]: variable.get("value") for variable in container(installation)["env"]}
    drain = float(values["GRACEFUL_WORKER_DRAIN"])
    assert drain >= DEFAULTS["drain_seconds"]
    most = drain + DEFAULTS["finish_seconds"] + DEFAULTS["head_seconds"]
    assert pod(installation)["terminationGracePeriodSeconds"] >= most
    # Without a preStop hook the signal arrives at once, which starts the drain.
    assert "lifecycle" not in container(installation)


@every_installation
def test_every_variable_is_a_setting_of_the_program(installation: str) -> None:
    known = {parameter.envvar for parameter in serve_command.params}
    names = [variable["name"] for variable in container(installation)["env"]]
    assert [name for name in names if name not in known] == []
    assert len(set(names)) == len(names)
    assert all(name.startswith(ENVIRONMENT_PREFIX) for name in names)


@every_installation
def test_service_links_are_off_because_their_variables_would_override_a_setting(installation: str) -> None:
    service = select_one(installed(installation), "Service")["metadata"]["name"].upper().replace("-", "_")
    assert f"{service}_PORT" in {parameter.envvar for parameter in serve_command.params}
    assert pod(installation)["enableServiceLinks"] is False


@every_installation
def test_the_probes_use_the_served_port(installation: str) -> None:
    webhook = container(installation)
    (port,) = webhook["ports"]
    assert port["containerPort"] == 8443
    assert select_one(installed(installation), "Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    (ingress,) = select_one(installed(installation), "NetworkPolicy", NAME)["spec"]["ingress"]
    assert ingress == {"ports": [{"protocol": "TCP", "port": port["containerPort"]}]}
    for probe, path in (("livenessProbe", "/healthz"), ("startupProbe", "/healthz"), ("readinessProbe", "/readyz")):
        request = webhook[probe]["httpGet"]
        assert request == {"scheme": "HTTPS", "path": path, "port": port["name"]}


@every_installation
def test_no_user_is_set_so_that_openshift_can_assign_one(installation: str) -> None:
    """Its policy "restricted-v2" accepts only users of the namespace's own range.

    https://docs.redhat.com/en/documentation/openshift_container_platform/4.18/html/authentication_and_authorization/managing-pod-security-policies
    """
    for context in (pod(installation)["securityContext"], container(installation)["securityContext"]):
        assert not {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions"} & set(context)


@every_installation
def test_the_webhook_is_in_no_mesh(installation: str) -> None:
    """A mesh that requires mutual TLS would reject the API server, which is in no mesh."""
    metadata = deployment(installation)["template"]["metadata"]
    assert metadata["labels"].items() >= {
        ("sidecar.istio.io/inject", "false"),
        ("istio.io/dataplane-mode", "none"),
        ("kuma.io/sidecar-injection", "disabled"),
    }
    assert metadata["annotations"].items() >= {
        ("sidecar.istio.io/inject", "false"),
        ("linkerd.io/inject", "disabled"),
        ("consul.hashicorp.com/connect-inject", "false"),
    }
    # A selector is immutable, so it has none of these.
    assert set(deployment(installation)["selector"]["matchLabels"]) == {"app.kubernetes.io/name"}


def test_memory_is_limited_and_cpu_is_not() -> None:
    resources = container()["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}


@every_installation
def test_the_priority_class_is_covered_by_a_quota_for_clusters_that_require_one(installation: str) -> None:
    quota = select_one(installed(installation), "ResourceQuota")["spec"]
    (expression,) = quota["scopeSelector"]["matchExpressions"]
    assert expression["scopeName"] == "PriorityClass"
    assert expression["values"] == [pod(installation)["priorityClassName"]]
    most = deployment(installation)["replicas"] + deployment(installation)["strategy"]["rollingUpdate"]["maxSurge"]
    assert int(quota["hard"]["pods"]) > most
