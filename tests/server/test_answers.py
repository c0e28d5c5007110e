"""The response to an AdmissionReview."""

from __future__ import annotations

import base64
import json
from copy import deepcopy

import jsonpatch
import pytest

from webhook.core.reasons import Kind, Reason
from webhook.core.warnings import WARNING_LENGTH

from .process import Server, Servers
from .samples import FOLDER, Review, fresh, patched, read_review, uid_of, with_pod

VERDICTS = {
    "symfony-messenger": Reason.INJECTED,
    "celery-kubectl-dry-run": Reason.INJECTED,
    "shell-string": Reason.INJECTED,
    "unicode": Reason.INJECTED,
    "web-server": Reason.NOT_A_WORKER,
    "opted-out": Reason.OPTED_OUT,
    "no-command": Reason.INJECTED,
    "annotation-invalid": Reason.ANNOTATION_INVALID,
    "annotation-unknown": Reason.ANNOTATION_UNKNOWN,
    "deployment": Reason.NOT_A_POD,
    "pod-update": Reason.NOT_A_CREATION,
    "pod-delete": Reason.NOT_A_CREATION,
}
REFUSED = ("annotation-invalid", "annotation-unknown")
INJECTED = [name for name, reason in VERDICTS.items() if reason is Reason.INJECTED]
OTHERS = [name for name in VERDICTS if name not in INJECTED]

every_review = pytest.mark.parametrize("name", VERDICTS)
every_injected = pytest.mark.parametrize("name", INJECTED)


def test_every_review_file_has_an_expected_verdict() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == VERDICTS.keys()


@every_review
def test_the_response_is_an_admission_review_of_the_same_version(server: Server, name: str) -> None:
    response = server.review(read_review(name))
    assert response.status == 200
    assert response.json.keys() == {"apiVersion", "kind", "response"}
    assert (response.json["apiVersion"], response.json["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")


@every_review
def test_the_uid_is_echoed(server: Server, name: str) -> None:
    review = fresh(read_review(name))
    assert server.review(review).admission_response["uid"] == uid_of(review)


@every_review
def test_every_pod_that_is_not_refused_is_allowed(server: Server, name: str) -> None:
    assert server.review(read_review(name)).admission_response["allowed"] is (name not in REFUSED)


@every_review
def test_the_audit_annotations_carry_the_reason(server: Server, name: str) -> None:
    annotations = server.review(read_review(name)).admission_response["auditAnnotations"]
    reason = VERDICTS[name]
    outcome = Kind.LEFT_ALONE if reason.kind is Kind.REFUSED and name not in REFUSED else reason.kind
    assert annotations["reason"] == reason.value
    assert annotations["outcome"] == outcome.value


@every_review
def test_audit_annotations_have_keys_and_values_that_the_api_server_accepts(server: Server, name: str) -> None:
    # The API server prefixes the keys with the webhook's name, and drops values that are not strings.
    annotations = server.review(read_review(name)).admission_response["auditAnnotations"]
    assert all(key.isalnum() and isinstance(value, str) for key, value in annotations.items())


def test_the_audit_annotations_list_the_findings_as_reason_codes(server: Server, messenger: Review) -> None:
    codes = server.review(messenger).admission_response["auditAnnotations"]["findings"].split(",")
    assert {Reason(code) for code in codes} > {Reason.COMMAND_WRAPPED, Reason.SIDECAR_HOOK, Reason.GRACE_RAISED}
    assert len(set(codes)) == len(codes)


@every_injected
def test_the_patch_is_base64_json_that_applies(server: Server, name: str) -> None:
    review = read_review(name)
    response = server.review(review).admission_response
    assert response["patchType"] == "JSONPatch"
    assert patched(review, response)["metadata"]["labels"]["graceful-worker/injected"] == "true"


def test_a_messenger_pod_gets_the_wrapper_the_hooks_and_the_grace_period(server: Server, messenger: Review) -> None:
    pod = patched(messenger, server.review(messenger).admission_response)
    worker, nginx = pod["spec"]["containers"]
    assert worker["command"][6:9] == ["php", "bin/console", "messenger:consume"]
    assert {"--limit=1", "--time-limit=60"} < {*worker["command"], *worker.get("args", ())}
    assert worker["command"][:2] == ["/bin/sh", "-c"]
    assert nginx["lifecycle"]["preStop"]["exec"]["command"][-3:] == ["/usr/sbin/nginx", "-s", "quit"]
    assert pod["spec"]["terminationGracePeriodSeconds"] == 3600


@pytest.mark.parametrize("name", OTHERS)
def test_a_response_without_changes_has_neither_patch_nor_patch_type(server: Server, name: str) -> None:
    assert not {"patch", "patchType"} & server.review(read_review(name)).admission_response.keys()


@every_review
def test_warnings_have_at_most_120_characters(server: Server, name: str) -> None:
    warnings = server.review(read_review(name)).admission_response.get("warnings", [])
    assert all(0 < len(warning) <= WARNING_LENGTH for warning in warnings)


def test_findings_that_the_operator_should_know_are_warnings(server: Server) -> None:
    warnings = server.review(read_review("shell-string")).admission_response["warnings"]
    codes = [warning.partition(":")[0] for warning in warnings]
    assert codes == ["loop-impossible", "framework-caution", "hook-kept", "mesh-kept"]


def test_a_response_with_nothing_to_warn_about_has_no_warnings(server: Server, messenger: Review) -> None:
    assert "warnings" not in server.review(messenger).admission_response


def test_a_refusal_names_the_annotation_its_value_and_the_accepted_values(server: Server) -> None:
    status = server.review(read_review("annotation-invalid")).admission_response["status"]
    assert status["code"] == 422
    assert status["reason"] == "Invalid"
    for part in ("graceful-worker/grace-period", '"half an hour"', "seconds, or a duration", "1h30m"):
        assert part in status["message"]


def test_a_refusal_of_an_unknown_annotation_names_it_and_the_known_ones(server: Server) -> None:
    message = server.review(read_review("annotation-unknown")).admission_response["status"]["message"]
    for part in ("graceful-worker/graceperiod", '"1h"', "grace-period", "stop-signal"):
        assert part in message


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_one_line_that_names_graceful_worker(server: Server, name: str) -> None:
    message = server.review(read_review(name)).admission_response["status"]["message"]
    assert message.startswith("graceful-worker refuses this pod: ")
    assert "\n" not in message


def test_only_refusals_have_a_status(server: Server, messenger: Review) -> None:
    assert "status" not in server.review(messenger).admission_response


@every_review
def test_a_dry_run_gets_the_same_response(server: Server, name: str) -> None:
    review = read_review(name)
    other = fresh(review, uid=uid_of(review), dryRun=not review["request"]["dryRun"])
    assert server.review(other).json == server.review(review).json


@every_injected
def test_the_patched_pod_sent_again_gets_no_patch(server: Server, name: str) -> None:
    review = read_review(name)
    pod = patched(review, server.review(review).admission_response)
    again = server.review(with_pod(review, pod)).admission_response
    assert again["allowed"] is True
    assert "patch" not in again
    assert again["auditAnnotations"]["reason"] == Reason.UNCHANGED.value


def test_on_reinvocation_only_a_container_that_another_webhook_added_is_patched(
    server: Server, messenger: Review
) -> None:
    pod = patched(messenger, server.review(messenger).admission_response)
    pod["spec"]["containers"].append({"name": "logs", "image": "shop/logs:4"})
    again = with_pod(messenger, pod)
    response = server.review(again).admission_response
    assert "lifecycle" in patched(again, response)["spec"]["containers"][2]
    operations = json.loads(base64.b64decode(response["patch"]))
    assert {"/spec/containers/0", "/spec/containers/1"}.isdisjoint(op["path"][:18] for op in operations)


def test_non_ascii_text_is_preserved(server: Server) -> None:
    review = read_review("unicode")
    before = review["request"]["object"]
    after = patched(review, server.review(review).admission_response)
    assert [word for word in after["spec"]["containers"][0]["command"] if not word.isascii()] == [
        "früh",
        "спасибо",
        "🐘",
    ]
    assert before["metadata"]["annotations"].items() <= after["metadata"]["annotations"].items()
    assert after["spec"]["containers"][0]["env"] == before["spec"]["containers"][0]["env"]


def test_json_with_unicode_escapes_gets_the_same_response(server: Server) -> None:
    review = read_review("unicode")
    plain = server.review(json.dumps(review, ensure_ascii=False).encode())
    assert server.review(json.dumps(review, ensure_ascii=True).encode()).body == plain.body


def test_unknown_fields_of_a_pod_are_preserved(server: Server, messenger: Review) -> None:
    pod = deepcopy(messenger["request"]["object"])
    pod["spec"]["fieldOfTheFuture"] = {"a/b~c": [1.5, None, {"": "x"}], "large": 2**63}
    pod["spec"]["containers"][0]["lifecycle"] = {"postStart": {"sleep": {"seconds": 1}}, "preWhatever": {}}
    pod["metadata"]["annotations"]["fie/ld~"] = "kept"
    review = with_pod(messenger, pod)
    after = patched(review, server.review(review).admission_response)
    assert after["spec"]["fieldOfTheFuture"] == pod["spec"]["fieldOfTheFuture"]
    assert pod["spec"]["containers"][0]["lifecycle"].items() <= after["spec"]["containers"][0]["lifecycle"].items()
    assert after["metadata"]["annotations"]["fie/ld~"] == "kept"


def test_unknown_fields_of_a_review_are_ignored(server: Server, messenger: Review) -> None:
    review = {**fresh(messenger, fieldOfTheFuture=[{}]), "another": 1}
    assert "patch" in server.review(review).admission_response


def test_a_pod_without_any_name_is_patched(server: Server, messenger: Review) -> None:
    # A webhook that is called before names are generated sees neither `name` nor `generateName`.
    pod = deepcopy(messenger["request"]["object"])
    del pod["metadata"]["generateName"]
    assert "patch" in server.review(with_pod(messenger, pod)).admission_response


def test_the_kind_pod_of_another_api_group_is_not_a_pod(server: Server, messenger: Review) -> None:
    review = fresh(messenger, kind={"group": "metrics.k8s.io", "version": "v1beta1", "kind": "Pod"})
    assert server.review(review).admission_response["auditAnnotations"]["reason"] == Reason.NOT_A_POD.value


def test_a_subresource_of_a_pod_is_not_a_pod(server: Server, messenger: Review) -> None:
    response = server.review(fresh(messenger, subResource="ephemeralcontainers")).admission_response
    assert response["auditAnnotations"]["reason"] == Reason.NOT_A_POD.value


def test_pods_get_the_grace_period_that_the_operator_sets(servers: Servers, messenger: Review) -> None:
    server = servers.start(grace_period="2h")
    pod = patched(messenger, server.review(messenger).admission_response)
    assert pod["spec"]["terminationGracePeriodSeconds"] == 7200


def test_every_operation_of_the_patch_is_needed(server: Server, messenger: Review) -> None:
    response = server.review(messenger).admission_response
    for operation in json.loads(base64.b64decode(response["patch"])):
        without = [op for op in json.loads(base64.b64decode(response["patch"])) if op["path"] != operation["path"]]
        assert operation["op"] in ("add", "replace")
        assert jsonpatch.apply_patch(messenger["request"]["object"], without) != patched(messenger, response)
