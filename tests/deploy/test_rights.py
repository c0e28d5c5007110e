"""The RBAC rights of each program, exactly."""

from __future__ import annotations

import pytest

from tests.deploy.rendered import NAME, WATCH, Manifest, entries, every_installation, installed, select_kind, select_one

SECRET = "graceful-worker-ca"
Right = tuple[str, str, str, str]
"""Kind of the role, resource, name of the object (`*` is any), verb."""
AUTHORITY: set[Right] = {
    ("Role", "secrets", "*", "create"),
    *(("Role", "secrets", SECRET, verb) for verb in ("get", "list", "watch", "update")),
    *(
        ("ClusterRole", "mutatingwebhookconfigurations.admissionregistration.k8s.io", NAME, verb)
        for verb in ("get", "list", "watch", "patch")
    ),
}
"""The rights that a CA of its own needs."""

# Only get: the eviction guard knows the pod's name.
EVICTIONS: set[Right] = {("ClusterRole", resource, "*", "get") for resource in ("nodes", "pods")}
# Only get: list or watch would also return Secrets that no pod refers to.
PULL_SECRETS: set[Right] = {("ClusterRole", resource, "*", "get") for resource in ("secrets", "serviceaccounts")}
EXPECTED = AUTHORITY | EVICTIONS
OTHER_RIGHTS: dict[str, set[Right]] = {
    "cert-manager": set(),
    "no-eviction-guard": AUTHORITY,
    "pull-secrets": EXPECTED | PULL_SECRETS,
}


# Whole pods, and all of them: no subresource has only what is needed, and RBAC has no label selectors.
DRAINS: set[Right] = {
    *(("ClusterRole", "pods", "*", verb) for verb in ("list", "watch")),
    ("ClusterRole", "events", "*", "create"),
}
WATCHING = ("drain-watch", "drain-watch-monitoring")


def bound(manifests: list[Manifest], account: str) -> list[Manifest]:
    """Return the roles that are bound to an account."""
    bindings = select_kind(manifests, "RoleBinding") + select_kind(manifests, "ClusterRoleBinding")
    subject = {"kind": "ServiceAccount", "name": account, "namespace": NAME}
    names = [(b["roleRef"]["kind"], b["roleRef"]["name"]) for b in bindings if subject in b["subjects"]]
    roles = select_kind(manifests, "Role") + select_kind(manifests, "ClusterRole")
    return [role for role in roles if (role["kind"], role["metadata"]["name"]) in names]


def rights(manifests: list[Manifest], account: str = NAME) -> set[Right]:
    return {
        (role["kind"], f"{resource}.{group}".rstrip("."), name, verb)
        for role in bound(manifests, account)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ["*"])
        for verb in rule["verbs"]
    }


@every_installation
def test_the_rights_are_exactly_these(installation: str) -> None:
    manifests = installed(installation)
    assert rights(manifests) == OTHER_RIGHTS.get(installation, EXPECTED)
    assert rights(manifests, WATCH) == (DRAINS if installation in WATCHING else set())


@every_installation
def test_pods_may_be_read_only_where_evictions_are_sent(installation: str) -> None:
    manifests = installed(installation)
    assert (rights(manifests) >= EVICTIONS) is bool(entries(manifests, "pods/eviction"))


@every_installation
def test_each_role_is_bound_to_the_service_account_of_only_one_deployment(installation: str) -> None:
    manifests = installed(installation)
    accounts = {account["metadata"]["name"] for account in select_kind(manifests, "ServiceAccount")}
    pods = [deployment["spec"]["template"]["spec"] for deployment in select_kind(manifests, "Deployment")]
    assert {pod["serviceAccountName"] for pod in pods} == accounts
    assert len(pods) == len(accounts)
    bindings = select_kind(manifests, "RoleBinding") + select_kind(manifests, "ClusterRoleBinding")
    for binding in bindings:
        (subject,) = binding["subjects"]
        assert subject == {"kind": "ServiceAccount", "name": subject["name"], "namespace": NAME}
        assert subject["name"] in accounts
    roles = select_kind(manifests, "Role") + select_kind(manifests, "ClusterRole")
    assert {(b["roleRef"]["kind"], b["roleRef"]["name"]) for b in bindings} == {
        (role["kind"], role["metadata"]["name"]) for role in roles
    }


def test_the_configuration_that_may_be_patched_is_the_shipped_one() -> None:
    assert select_one(installed("default"), "MutatingWebhookConfiguration")["metadata"]["name"] == NAME


@every_installation
@pytest.mark.parametrize("policy", ["graceful-worker-account-configuration", "graceful-worker-account-secret"])
def test_a_policy_restricts_the_account_to_its_own_objects_and_fails_closed(installation: str, policy: str) -> None:
    """What the policy allows is tested in a real API server: tests/apiserver/test_account.py."""
    manifests = installed(installation)
    account = select_one(manifests, "ServiceAccount")["metadata"]
    spec = select_one(manifests, "ValidatingAdmissionPolicy", policy)["spec"]
    (condition,) = spec["matchConditions"]
    username = f"system:serviceaccount:{account['namespace']}:{account['name']}"
    assert condition["expression"] == f"request.userInfo.username == '{username}'"
    assert spec["failurePolicy"] == "Fail"
    constraints = spec["matchConstraints"]
    assert constraints["namespaceSelector"] == constraints["objectSelector"] == {}
    binding = select_one(manifests, "ValidatingAdmissionPolicyBinding", policy)["spec"]
    assert binding == {"policyName": policy, "validationActions": ["Deny"]}


def test_the_policies_cover_everything_that_the_account_may_write() -> None:
    policies = [policy["spec"] for policy in select_kind(installed("default"), "ValidatingAdmissionPolicy")]
    rules = [rule for policy in policies for rule in policy["matchConstraints"]["resourceRules"]]
    held = {
        f"{resource}.{group}".rstrip(".")
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert held == {resource for _, resource, _, verb in EXPECTED if verb not in ("get", "list", "watch")}


def test_a_token_is_mounted_only_because_the_pod_requests_it() -> None:
    manifests = installed("default")
    assert select_one(manifests, "ServiceAccount")["automountServiceAccountToken"] is False
    assert select_one(manifests, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
