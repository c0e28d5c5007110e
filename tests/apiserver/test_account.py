"""The webhook's ServiceAccount in a real API server: what its token may write, field by field."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import httpx
import pytest

from tests.apiserver.control_plane import ControlPlane, control_plane, missing
from tests.apiserver.installation import (
    CONFIGURATION,
    CONFIGURATIONS,
    NAMESPACE,
    apply,
    configuration,
    kubectl_missing,
    service_account_token,
)

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.xdist_group("apiserver"),
]

MERGE = {"Content-Type": "application/merge-patch+json"}
SCHEMAS = "/openapi/v3/apis/admissionregistration.k8s.io/v1"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
DRY_RUN = {"dryRun": "All"}
BUNDLE = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n").decode()
PATH = f"/mutate/{'0a9f' * 16}"
ELSEWHERE = "https://elsewhere.example.com/mutate"
OWNER = {"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": "0"}
Object = dict[str, Any]
Change = Callable[[Object], None]

OWN_FIELDS = {"clientConfig.caBundle", "clientConfig.service.path"}
"""The fields of an entry that the account may change."""
OTHER_FIELDS: dict[str, Any] = {
    "name": "another.label.graceful-worker",
    "clientConfig.url": ELSEWHERE,
    "clientConfig.service.name": "another",
    "clientConfig.service.namespace": "default",
    "clientConfig.service.port": 8443,
    "rules[].apiGroups": ["*"],
    "rules[].apiVersions": ["*"],
    "rules[].operations": ["*"],
    "rules[].resources": ["pods", "secrets"],
    "rules[].scope": "*",
    "failurePolicy": "Ignore",
    "matchPolicy": "Exact",
    "namespaceSelector.matchExpressions[].key": "another",
    "namespaceSelector.matchExpressions[].operator": "NotIn",
    "namespaceSelector.matchExpressions[].values": ["another"],
    "namespaceSelector.matchLabels": {"another": "label"},
    "objectSelector.matchExpressions[].key": "another",
    "objectSelector.matchExpressions[].operator": "In",
    "objectSelector.matchExpressions[].values": ["another"],
    "objectSelector.matchLabels": {"another": "label"},
    "sideEffects": "NoneOnDryRun",
    "timeoutSeconds": 30,
    "admissionReviewVersions": ["v1", "v1beta1"],
    "reinvocationPolicy": "Never",
    "matchConditions[].name": "another",
    "matchConditions[].expression": "false",
}
"""The fields of an entry that the account may not change, and the value that the tests write."""
METADATA: dict[str, Any] = {
    "labels": {"another": "label"},
    "annotations": {"another": "annotation"},
    "finalizers": ["example.com/stays"],
    "ownerReferences": [OWNER],
}
"""The metadata that a client can change."""
SERVER_METADATA = {
    *("name", "generateName", "namespace", "uid", "selfLink", "resourceVersion", "generation", "managedFields"),
    *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
}


ENTRIES = {"namespace.label": 0, "pod.label": 1, "pod.eviction": 2}
"""The index of each entry."""
EVICTION_FIELDS: dict[str, Any] = {
    "clientConfig.service.name": "another",
    "rules[].resources": ["pods/eviction", "secrets"],
    "failurePolicy": "Fail",
    "timeoutSeconds": 30,
    "matchConditions": [],
}
"""Changes of the entry for evictions that would send more requests to the webhook, or let it fail a drain."""


def entry_with(field: str, value: Any, position: int = 0) -> Change:
    """Return a change that sets a field of an entry by its path in the schema; in a list, it sets the first item's."""

    def change(live: Object) -> None:
        *parents, last = field.split(".")
        entry = live["webhooks"][position]
        if field == "clientConfig.url":
            # A clientConfig has either a URL or a Service.
            del entry["clientConfig"]["service"]
        for step in parents:
            entry = entry[step.removesuffix("[]")][0] if step.endswith("[]") else entry[step]
        assert entry.get(last) != value
        entry[last] = value

    return change


def calling(url: str) -> Change:
    """Return a change that replaces the URL of the first entry."""
    return lambda live: live["webhooks"][0]["clientConfig"].update(url=url)


def metadata_with(field: str, value: Any) -> Change:
    def change(live: Object) -> None:
        given = live["metadata"].get(field)
        live["metadata"][field] = {**given, **value} if isinstance(given, dict) else value

    return change


def without_an_entry(live: Object) -> None:
    live["webhooks"].pop()


def with_one_more_entry(live: Object) -> None:
    live["webhooks"].append({**live["webhooks"][0], "name": "one.more.graceful-worker"})


def in_another_order(live: Object) -> None:
    live["webhooks"].reverse()


def without_selectors(live: Object) -> None:
    del live["webhooks"][0]["objectSelector"], live["webhooks"][0]["namespaceSelector"]


def without_conditions(live: Object) -> None:
    del live["webhooks"][1]["matchConditions"]


def without_labels(live: Object) -> None:
    live["metadata"]["labels"] = dict.fromkeys(live["metadata"]["labels"])


SHAPES = (
    *(without_an_entry, with_one_more_entry, in_another_order),
    *(without_selectors, without_conditions, without_labels),
)
OTHER_CHANGES: dict[str, Change] = {
    **{field: entry_with(field, value) for field, value in OTHER_FIELDS.items()},
    **{
        f"pod.eviction: {field}": entry_with(field, value, ENTRIES["pod.eviction"])
        for field, value in EVICTION_FIELDS.items()
    },
    **{f"metadata.{field}": metadata_with(field, value) for field, value in METADATA.items()},
    **{shape.__name__: shape for shape in SHAPES},
}
OWN_CHANGES: dict[str, Change] = {
    f"{name}: {field}": entry_with(field, value, position)
    for name, position in ENTRIES.items()
    for field, value in (("clientConfig.caBundle", BUNDLE), ("clientConfig.service.path", PATH))
}
every_other_change = pytest.mark.parametrize("change", OTHER_CHANGES.values(), ids=OTHER_CHANGES)
every_own_change = pytest.mark.parametrize("change", OWN_CHANGES.values(), ids=OWN_CHANGES)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    directory = tmp_path_factory.mktemp("account")
    with control_plane(directory) as plane:
        apply(plane, directory)
        yield plane


@pytest.fixture(scope="module")
def account(plane: ControlPlane) -> Iterator[httpx.Client]:
    """A client with the account's token, once the policies are in effect."""
    with httpx.Client(
        base_url=plane.client.base_url,
        verify=ssl.create_default_context(cafile=str(plane.ca)),
        headers={"Authorization": f"Bearer {service_account_token(plane)}"},
        timeout=30,
    ) as client:
        deadline = time.monotonic() + 30
        while not all((_is_refused(_write(client, plane, in_another_order)), _is_refused(_create(client, "another")))):
            assert time.monotonic() < deadline, "the policies do not come into force"
            time.sleep(0.1)
        yield client


def _write(client: httpx.Client, plane: ControlPlane, change: Change) -> httpx.Response:
    """Change the configuration as a dry run."""
    live = deepcopy(configuration(plane))
    change(live)
    body = {"metadata": live["metadata"], "webhooks": live["webhooks"]}
    return client.patch(CONFIGURATION, content=json.dumps(body), headers=MERGE, params=DRY_RUN)


def _secret(name: str = "graceful-worker-ca", type_: str = "kubernetes.io/tls", **metadata: Any) -> Object:
    data = {"tls.crt": "", "tls.key": ""}
    return {"metadata": {"name": name, **metadata}, "type": type_, "data": data}


def _create(client: httpx.Client, *arguments: str, **metadata: Any) -> httpx.Response:
    """Create a Secret as a dry run."""
    return client.post(SECRETS, json=_secret(*arguments, **metadata), params=DRY_RUN)


def _is_refused(response: httpx.Response) -> bool:
    """Return whether a policy has refused the request, rather than RBAC or the API server's own validation."""
    return response.status_code == 403 and "ValidatingAdmissionPolicy 'graceful-worker-account-" in response.text


def test_every_entry_of_the_configuration_is_covered(plane: ControlPlane) -> None:
    names = [entry["name"] for entry in configuration(plane)["webhooks"]]
    assert names == [f"{name}.graceful-worker" for name in ENTRIES]


@every_own_change
def test_the_account_may_change_the_bundle_and_the_path_of_an_entry(
    plane: ControlPlane, account: httpx.Client, change: Change
) -> None:
    response = _write(account, plane, change)
    assert response.is_success, response.text


@every_other_change
def test_the_account_may_not_change_anything_else(plane: ControlPlane, account: httpx.Client, change: Change) -> None:
    response = _write(account, plane, change)
    assert _is_refused(response), response.text


@pytest.mark.usefixtures("account")
@every_other_change
def test_an_administrator_may_change_everything(plane: ControlPlane, change: Change) -> None:
    response = _write(plane.client, plane, change)
    assert response.is_success, response.text


@pytest.mark.parametrize("path", ["/healthz", "/mutate/", "/mutate/short", f"{PATH}.x", f"/x{PATH}", f"{PATH * 2}"])
def test_the_account_may_not_set_a_path_that_the_webhook_would_not_write(
    plane: ControlPlane, account: httpx.Client, path: str
) -> None:
    change = entry_with("clientConfig.service.path", path)
    assert _is_refused(_write(account, plane, change))
    assert _write(plane.client, plane, change).is_success


def test_if_the_entries_call_a_url_the_account_may_still_change_the_bundle_and_the_path_of_the_url(
    plane: ControlPlane, account: httpx.Client
) -> None:
    before = configuration(plane)["webhooks"]
    elsewhere = deepcopy(before)
    for entry in elsewhere:
        entry["clientConfig"] = {"url": ELSEWHERE}
    _store(plane, elsewhere)
    try:
        assert _write(account, plane, entry_with("clientConfig.caBundle", BUNDLE)).is_success
        assert _write(account, plane, calling(f"https://elsewhere.example.com{PATH}")).is_success
        others = ("https://example.com", "https://elsewhere.example.com/x")
        for url in (*(f"{other}{PATH}" for other in others), f"{ELSEWHERE}/x", ELSEWHERE[:-1]):
            response = _write(account, plane, calling(url))
            assert _is_refused(response), response.text
        back = _write(account, plane, lambda live: live["webhooks"][0].update(clientConfig=before[0]["clientConfig"]))
        assert _is_refused(back), back.text
    finally:
        _store(plane, before)


def test_the_account_may_not_add_entries_to_an_empty_configuration(plane: ControlPlane, account: httpx.Client) -> None:
    before = configuration(plane)["webhooks"]
    _store(plane, [])
    try:
        response = _write(account, plane, lambda live: live.update(webhooks=before))
        assert _is_refused(response), response.text
    finally:
        _store(plane, before)


def _store(plane: ControlPlane, webhooks: list[Object]) -> None:
    plane.client.patch(CONFIGURATION, json={"webhooks": webhooks}, headers=MERGE).raise_for_status()


def test_rbac_denies_the_account_other_configurations_and_the_deletion_of_its_own(account: httpx.Client) -> None:
    assert account.delete(CONFIGURATION, params=DRY_RUN).status_code == 403
    assert account.post(CONFIGURATIONS, json={"metadata": {"name": "another"}}, params=DRY_RUN).status_code == 403
    assert account.patch(f"{CONFIGURATIONS}/another", json={}, headers=MERGE, params=DRY_RUN).status_code == 403


def test_rbac_lets_the_account_get_a_single_pod_and_do_nothing_else_with_pods(account: httpx.Client) -> None:
    pods = "/api/v1/namespaces/default/pods"
    # No pod of that name exists: 404 shows that the account may get it.
    assert account.get(f"{pods}/worker").status_code == 404
    assert account.get(pods).status_code == 403
    assert account.get(pods, params={"watch": "true"}).status_code == 403
    assert account.get(f"{pods}/worker/log").status_code == 403
    assert account.post(f"{pods}/worker/eviction", json={}, params=DRY_RUN).status_code == 403
    assert account.delete(f"{pods}/worker", params=DRY_RUN).status_code == 403


def test_every_field_of_this_api_servers_schema_is_covered(plane: ControlPlane) -> None:
    schemas = plane.client.get(SCHEMAS).raise_for_status().json()["components"]["schemas"]
    entry = "io.k8s.api.admissionregistration.v1.MutatingWebhook"
    assert set(_fields(schemas, entry)) - OWN_FIELDS <= OTHER_FIELDS.keys()
    assert set(schemas[f"{entry}Configuration"]["properties"]) == {"apiVersion", "kind", "metadata", "webhooks"}
    metadata = schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"]
    assert set(metadata) <= METADATA.keys() | SERVER_METADATA


def _fields(schemas: Object, name: str) -> Iterator[str]:
    """List the paths of all fields of a schema, without those that are objects with fields of their own."""
    for field, schema in schemas[name]["properties"].items():
        inner, path = (schema["items"], f"{field}[]") if schema.get("type") == "array" else (schema, field)
        reference = inner.get("$ref") or next((each["$ref"] for each in inner.get("allOf", ())), "")
        if reference:
            yield from (f"{path}.{below}" for below in _fields(schemas, reference.rpartition("/")[2]))
        else:
            yield field


def test_the_account_may_create_and_replace_its_secret(plane: ControlPlane, account: httpx.Client) -> None:
    assert account.post(SECRETS, json=_secret()).is_success
    try:
        # The account has to write back what others have added to the Secret.
        marked = {"labels": {"a": "b"}, "annotations": {"a": "b"}, "finalizers": ["example.com/stays"]}
        url = f"{SECRETS}/graceful-worker-ca"
        plane.client.patch(url, json={"metadata": marked}, headers=MERGE).raise_for_status()
        live = account.get(url).raise_for_status().json()
        response = account.put(url, json={**live, "data": {"tls.crt": "YQ==", "tls.key": "YQ=="}})
        assert response.is_success, response.text
        live = response.json()
        for field, value in (("finalizers", []), ("ownerReferences", [OWNER])):
            changed = {**live, "metadata": {**live["metadata"], field: value}}
            assert _is_refused(account.put(url, json=changed, params=DRY_RUN)), field
    finally:
        plane.client.patch(f"{SECRETS}/graceful-worker-ca", json={"metadata": {"finalizers": None}}, headers=MERGE)
        plane.client.delete(f"{SECRETS}/graceful-worker-ca").raise_for_status()


@pytest.mark.parametrize(
    "secret",
    [
        _secret("another"),
        _secret(type_="Opaque"),
        _secret(
            type_="kubernetes.io/service-account-token",
            annotations={"kubernetes.io/service-account.name": "graceful-worker"},
        ),
        _secret(finalizers=["example.com/stays"]),
        _secret(ownerReferences=[OWNER]),
        {**_secret(), "metadata": {"generateName": "graceful-worker-ca"}},
    ],
    ids=["name", "type", "token", "finalizer", "owner", "generated-name"],
)
def test_the_account_may_not_create_any_other_secret(
    plane: ControlPlane, account: httpx.Client, secret: Object
) -> None:
    response = account.post(SECRETS, json=secret, params=DRY_RUN)
    assert _is_refused(response), response.text
    assert plane.client.post(SECRETS, json=secret, params=DRY_RUN).is_success
