"""The overlay for cert-manager. No schema of its kinds is available, so the tests check the fields themselves.

https://cert-manager.io/docs/reference/api-docs/
"""

from __future__ import annotations

from tests.deploy.rendered import NAME, Manifest, installed, select_kind, select_one


def certificates() -> dict[str, Manifest]:
    return {c["metadata"]["name"]: c["spec"] for c in select_kind(installed("cert-manager"), "Certificate")}


def test_the_ca_bundle_comes_from_the_servers_certificate() -> None:
    annotations = select_one(installed("cert-manager"), "MutatingWebhookConfiguration")["metadata"]["annotations"]
    namespace, _, name = annotations["cert-manager.io/inject-ca-from"].partition("/")
    assert namespace == NAME
    assert certificates()[name]["dnsNames"] == [f"{NAME}.{NAME}.svc"]


def test_the_certificate_is_signed_by_a_ca_that_keeps_its_key() -> None:
    manifests = installed("cert-manager")
    issuers = {issuer["metadata"]["name"]: issuer["spec"] for issuer in select_kind(manifests, "Issuer")}
    specs = certificates()
    server = specs.pop(NAME)
    (authority,) = specs.values()
    assert issuers[server["issuerRef"]["name"]] == {"ca": {"secretName": authority["secretName"]}}
    assert issuers[authority["issuerRef"]["name"]] == {"selfSigned": {}}
    assert authority["isCA"]
    assert authority["privateKey"]["rotationPolicy"] == "Never"


def test_the_objects_have_only_fields_of_their_kinds() -> None:
    fields = {"secretName", "duration", "privateKey", "issuerRef"}
    assert set(certificates()[NAME]) == fields | {"renewBefore", "dnsNames", "usages"}
    for spec in certificates().values():
        assert spec.keys() >= fields
        assert set(spec["privateKey"]) == {"algorithm", "size", "rotationPolicy"}
        assert (spec["issuerRef"]["group"], spec["issuerRef"]["kind"]) == ("cert-manager.io", "Issuer")


def test_the_replicas_serve_the_certificate_from_the_mounted_secret() -> None:
    pod = select_one(installed("cert-manager"), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,) = container["volumeMounts"]
    (volume,) = pod["volumes"]
    assert volume["name"] == mount["name"]
    assert volume["secret"]["secretName"] == certificates()[NAME]["secretName"]
    assert "subPath" not in mount
    values = {variable["name"]: variable.get("value") for variable in container["env"]}
    paths = [f"{mount['mountPath']}/{item['path']}" for item in volume["secret"]["items"]]
    assert [values["GRACEFUL_WORKER_TLS_CERT"], values["GRACEFUL_WORKER_TLS_KEY"]] == paths


def test_cert_manager_never_waits_for_the_webhook_that_starts_with_its_certificate() -> None:
    """Even if its namespace or a pod in it has the label."""
    for entry in select_one(installed("cert-manager"), "MutatingWebhookConfiguration")["webhooks"]:
        (outside,) = (
            each
            for each in entry["namespaceSelector"]["matchExpressions"]
            if each["operator"] == "NotIn" and each["key"] != NAME
        )
        assert outside == {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": ["kube-system", NAME, "cert-manager"],
        }
