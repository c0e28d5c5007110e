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


def test_every_review_in_the_folder_has_a_verdict_here() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == VERDICTS.keys()


@every_review
def test_the_answer_is_an_admission_review_of_the_version_that_was_sent(server: Server, name: str) -> None:
    response = server.review(read_review(name))
    assert response.status == 200
    assert response.json.keys() == {"apiVersion", "kind", "response"}
    assert (response.json["apiVersion"], response.json["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")


@every_review
def test_the_uid_is_echoed(server: Server, name: str) -> None:
    review = fresh(read_review(name))
    assert server.review(review).admission_response["uid"] == uid_of(review)


@every_review
def test_only_what_is_refused_is_not_allowed(server: Server, name: str) -> None:
    assert server.review(read_review(name)).admission_response["allowed"] is (name not in REFUSED)


@every_review
def test_the_audit_annotations_carry_the_reason(server: Server, name: str) -> None:
    annotations = server.review(read_review(name)).admission_response["auditAnnotations"]
    reason = VERDICTS[name]
    outcome = Kind.LEFT_ALONE if reason.kind is Kind.REFUSED and name not in REFUSED else reason.kind
    assert annotations["reason"] == reason.value
    assert annotations["outcome"] == outcome.value


@every_review
def test_audit_annotations_have_names_and_values_that_the_api_server_takes(server: Server, name: str) -> None:
    # It prefixes the webhook's name, and drops what is no string.
    annotations = server.review(read_review(name)).admission_response["auditAnnotations"]
    assert all(key.isalnum() and isinstance(value, str) for key, value in annotations.items())


def test_the_audit_annotations_list_the_findings_as_codes_of_the_vocabulary(server: Server, messenger: Review) -> None:
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
def test_where_nothing_is_patched_there_is_neither_patch_nor_patch_type(server: Server, name: str) -> None:
    assert not {"patch", "patchType"} & server.review(read_review(name)).admission_response.keys()


@every_review
def test_warnings_are_strings_of_120_characters_at_most(server: Server, name: str) -> None:
    warnings = server.review(read_review(name)).admission_response.get("warnings", [])
    assert all(0 < len(warning) <= WARNING_LENGTH for warning in warnings)


def test_what_the_operator_ought_to_know_comes_as_warnings(server: Server) -> None:
    warnings = server.review(read_review("shell-string")).admission_response["warnings"]
    assert [warning.partition(":")[0] for warning in warnings] == ["loop-impossible", "hook-kept", "mesh-kept"]


def test_where_there_is_nothing_to_warn_of_there_are_no_warnings(server: Server, messenger: Review) -> None:
    assert "warnings" not in server.review(messenger).admission_response


def test_a_refusal_names_the_annotation_its_value_and_what_is_accepted(server: Server) -> None:
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
def test_a_refusal_is_one_line_that_says_who_refuses(server: Server, name: str) -> None:
    message = server.review(read_review(name)).admission_response["status"]["message"]
    assert message.startswith("graceful-worker refuses this pod: ")
    assert "\n" not in message


def test_only_refusals_have_a_status(server: Server, messenger: Review) -> None:
    assert "status" not in server.review(messenger).admission_response


@every_review
def test_a_dry_run_is_answered_the_same(server: Server, name: str) -> None:
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


def test_a_container_that_another_webhook_adds_in_between_gets_what_it_lacks(server: Server, messenger: Review) -> None:
    pod = patched(messenger, server.review(messenger).admission_response)
    pod["spec"]["containers"].append({"name": "logs", "image": "shop/logs:4"})
    again = with_pod(messenger, pod)
    response = server.review(again).admission_response
    assert "lifecycle" in patched(again, response)["spec"]["containers"][2]
    operations = json.loads(base64.b64decode(response["patch"]))
    assert {"/spec/containers/0", "/spec/containers/1"}.isdisjoint(op["path"][:18] for op in operations)


def test_text_in_any_script_survives(server: Server) -> None:
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


def test_json_that_escapes_all_but_ascii_means_the_same(server: Server) -> None:
    review = read_review("unicode")
    plain = server.review(json.dumps(review, ensure_ascii=False).encode())
    assert server.review(json.dumps(review, ensure_ascii=True).encode()).body == plain.body


def test_fields_that_are_unknown_to_us_survive(server: Server, messenger: Review) -> None:
    pod = deepcopy(messenger["request"]["object"])
    pod["spec"]["fieldOfTheFuture"] = {"a/b~c": [1.5, None, {"": "x"}], "large": 2**63}
    pod["spec"]["containers"][0]["lifecycle"] = {"postStart": {"sleep": {"seconds": 1}}, "preWhatever": {}}
    pod["metadata"]["annotations"]["fie/ld~"] = "kept"
    review = with_pod(messenger, pod)
    after = patched(review, server.review(review).admission_response)
    assert after["spec"]["fieldOfTheFuture"] == pod["spec"]["fieldOfTheFuture"]
    assert pod["spec"]["containers"][0]["lifecycle"].items() <= after["spec"]["containers"][0]["lifecycle"].items()
    assert after["metadata"]["annotations"]["fie/ld~"] == "kept"


def test_fields_of_the_request_that_are_unknown_to_us_do_no_harm(server: Server, messenger: Review) -> None:
    review = {**fresh(messenger, fieldOfTheFuture=[{}]), "another": 1}
    assert "patch" in server.review(review).admission_response


def test_a_pod_without_any_name_is_patched(server: Server, messenger: Review) -> None:
    # A webhook that is called before names are generated sees neither of the two.
    pod = deepcopy(messenger["request"]["object"])
    del pod["metadata"]["generateName"]
    assert "patch" in server.review(with_pod(messenger, pod)).admission_response


def test_an_object_whose_kind_is_of_another_group_is_no_pod(server: Server, messenger: Review) -> None:
    review = fresh(messenger, kind={"group": "metrics.k8s.io", "version": "v1beta1", "kind": "Pod"})
    assert server.review(review).admission_response["auditAnnotations"]["reason"] == Reason.NOT_A_POD.value


def test_a_subresource_of_a_pod_is_no_pod(server: Server, messenger: Review) -> None:
    response = server.review(fresh(messenger, subResource="ephemeralcontainers")).admission_response
    assert response["auditAnnotations"]["reason"] == Reason.NOT_A_POD.value


def test_the_grace_period_that_the_operator_sets_is_that_of_the_pods(servers: Servers, messenger: Review) -> None:
    server = servers.start(grace_period="2h")
    pod = patched(messenger, server.review(messenger).admission_response)
    assert pod["spec"]["terminationGracePeriodSeconds"] == 7200


def test_the_patch_holds_only_what_changes(server: Server, messenger: Review) -> None:
    response = server.review(messenger).admission_response
    for operation in json.loads(base64.b64decode(response["patch"])):
        without = [op for op in json.loads(base64.b64decode(response["patch"])) if op["path"] != operation["path"]]
        assert operation["op"] in ("add", "replace")
        assert jsonpatch.apply_patch(messenger["request"]["object"], without) != patched(messenger, response)
