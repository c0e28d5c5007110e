"""The command line with manifests: its output, its messages, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from webhook import __version__
from webhook.cli.commands import main
from webhook.inspection.requests import (
    DRAIN_HISTORY_PERMISSIONS,
    DRAIN_LIMIT_PERMISSIONS,
    KUBELET_PERMISSIONS,
    PERMISSIONS,
)

MANIFESTS = Path(__file__).parent / "manifests"
ALL = ["several.yaml", "list.json", "rollout.yaml", "jobs.yaml"]


def run(*arguments: str, standard_input: str | None = None, **environment: str) -> Result:
    return CliRunner().invoke(main, list(arguments), input=standard_input, env=environment)


def run_on(manifest: str, command: str, *arguments: str) -> Result:
    return run(command, "-f", str(MANIFESTS / manifest), *arguments)


def documents(text: str) -> list[object]:
    return list(YAML(typ="safe", pure=True).load_all(text))


@pytest.mark.parametrize("manifest", ALL)
def test_uninject_restores_the_original_manifest(manifest: str) -> None:
    injected = run_on(manifest, "inject")
    original = run("uninject", "-f", "-", standard_input=injected.stdout)
    assert injected.exit_code == original.exit_code == 0
    assert documents(original.stdout) == documents((MANIFESTS / manifest).read_text()) != documents(injected.stdout)


@pytest.mark.parametrize("manifest", ALL)
def test_inject_changes_nothing_the_second_time(manifest: str) -> None:
    once = run_on(manifest, "inject").stdout
    assert run("inject", "-f", "-", standard_input=once).stdout == once


def test_inject_keeps_comments_order_and_untouched_lines() -> None:
    before = (MANIFESTS / "several.yaml").read_text().splitlines()
    after = run_on("several.yaml", "inject").stdout.splitlines()
    kept = [line for line in before if line in after]
    assert [line for line in before if "#" in line] == [line for line in after if "#" in line and line in before]
    assert set(before) - set(kept) == {
        "      labels: {app: worker, graceful-worker: enabled}",
        '        command: ["php", "bin/console", "messenger:consume", "async"]',
    }


def test_inject_keeps_line_ends(tmp_path: Path) -> None:
    manifest = tmp_path / "windows.yaml"
    manifest.write_bytes((MANIFESTS / "rollout.yaml").read_bytes().replace(b"\n", b"\r\n"))
    lines = run("inject", "-f", str(manifest)).stdout_bytes.splitlines(keepends=True)
    assert len(lines) > 20
    assert [line for line in lines if not line.endswith(b"\r\n")] == []


HALF_A_PAIR = {
    "json": r'{"kind":"Pod","metadata":{"name":"a\ud800"},"spec":{"containers":[{"name":"w","command":["\udc00"]}]}}',
    "yaml": 'kind: Pod\nmetadata: {name: "a\\ud800"}\nspec:\n  containers:\n  - {name: w, command: ["\\udc00"]}',
}


@pytest.mark.parametrize("command", ["inject", "diff", "explain"])
@pytest.mark.parametrize("text", HALF_A_PAIR.values(), ids=HALF_A_PAIR)
def test_half_of_a_surrogate_pair_is_written_as_an_escape(command: str, text: str) -> None:
    result = run(command, "-f", "-", standard_input=text)
    assert result.exit_code == (1 if command == "diff" else 0)
    assert r"a\ud800" in result.stdout


@pytest.mark.parametrize("command", ["inject", "uninject", "diff", "explain"])
def test_a_closed_standard_input_is_reported(command: str) -> None:
    program = [sys.executable, "-m", "webhook", command, "-f", "-"]
    result = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *program], text=True, capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (2 if command == "diff" else 1, "")
    assert "-: standard input is closed" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("record", [{"command": 5}, {"command": "celery"}, {"args": [1]}, {"lifecycle": []}])
def test_uninject_refuses_a_record_that_makes_no_pod_of_a_native_sidecar(record: dict[str, object]) -> None:
    before = {f"/spec/initContainers/side/{field}": value for field, value in record.items()}
    status = {"before": before, "moved": {"side": 0}, "commands": {"side": {}}, "hooks": ["side"]}
    pod = {
        "kind": "Pod",
        "metadata": {"name": "a", "annotations": {"graceful-worker/status": json.dumps(status)}},
        "spec": {
            "initContainers": [{"name": "side", "restartPolicy": "Always", "command": ["nginx"]}],
            "containers": [{"name": "w", "command": ["celery"]}],
        },
    }
    result = run("uninject", "-f", "-", standard_input=json.dumps(pod))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "graceful-worker/status" in result.stderr
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ('"spec": {}', "the key 'spec' occurs twice"),
        ('"a": {"b": 1, "\\u0062": 2}', "the key 'b' occurs twice"),
        ('"a": 1e400', "1e400 is not a number that JSON can carry"),
        ('"a": [-1e400]', "-1e400 is not a number that JSON can carry"),
        ('"a": NaN', "NaN is not a number that JSON can carry"),
        ('"a": -Infinity', "-Infinity is not a number that JSON can carry"),
    ],
)
@pytest.mark.parametrize("command", ["inject", "uninject", "diff", "explain"])
def test_json_that_would_come_out_different_is_refused(command: str, field: str, problem: str) -> None:
    spec = '"spec": {"containers": [{"name": "w", "command": ["celery", "-A", "shop", "worker"]}]}'
    result = run(command, "-f", "-", standard_input=f'{{"kind": "Pod", {field}, {spec}}}')
    assert (result.exit_code, result.stdout) == (2 if command == "diff" else 1, "")
    assert problem in result.stderr


def test_inject_writes_no_output_if_one_pod_is_refused() -> None:
    result = run("inject", "-f", str(MANIFESTS / "several.yaml"), "-f", str(MANIFESTS / "refused.yaml"))
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_refusal_names_file_document_object_annotation_value_and_an_accepted_value() -> None:
    line = run_on("refused.yaml", "inject").stderr
    for part in (
        "refused.yaml",
        "document 2",
        "Deployment worker",
        "graceful-worker/grace-period",
        '"one hour"',
        "1h30m",
    ):
        assert part in line


def test_inject_of_several_files_separates_them() -> None:
    result = run("inject", "-f", str(MANIFESTS / "rollout.yaml"), "-f", str(MANIFESTS / "several.yaml"))
    assert len(documents(result.stdout)) == 4


def test_inject_reports_unchanged_pods_on_stderr() -> None:
    result = run_on("list.json", "inject")
    assert "Pod web: left alone" in result.stderr
    assert "[not-a-worker]" in result.stderr
    assert [bool("graceful-worker" in str(item)) for item in json.loads(result.stdout)["items"]] == [True, False]


def test_only_labelled_leaves_other_pods_unchanged() -> None:
    result = run_on("rollout.yaml", "inject", "--only-labelled")
    assert result.stdout == (MANIFESTS / "rollout.yaml").read_text()


def test_the_grace_period_can_be_set_by_option_and_by_environment() -> None:
    by_option = run_on("rollout.yaml", "inject", "--grace-period", "2h").stdout
    by_environment = run("inject", "-f", str(MANIFESTS / "rollout.yaml"), GRACEFUL_WORKER_GRACE_PERIOD="2h").stdout
    assert "terminationGracePeriodSeconds: 7200" in by_option
    assert by_option == by_environment


def test_a_grace_period_that_is_not_a_duration_is_a_usage_error() -> None:
    result = run_on("rollout.yaml", "inject", "--grace-period", "soon")
    assert result.exit_code == 2
    assert "1h30m" in result.stderr


def test_the_resources_of_the_injected_shell_can_be_set() -> None:
    text = (MANIFESTS / "rollout.yaml").read_text()
    asking = text.replace("    spec:", "    metadata: {annotations: {graceful-worker/shell: injected}}\n    spec:")
    options = ["--shell-cpu", "100m", "--shell-memory", "0.5Gi"]
    injected = run("inject", "-f", "-", *options, standard_input=asking).stdout
    assert injected.count("cpu: 100m") == injected.count("memory: 0.5Gi") == 2


@pytest.mark.parametrize("amount", ["", "0", "-1", "50 m", "1e3", "much", "50mi"])
def test_an_invalid_resource_quantity_is_a_usage_error(amount: str) -> None:
    result = run_on("rollout.yaml", "inject", "--shell-memory", amount)
    assert result.exit_code == 2
    assert "16Mi" in result.stderr


@pytest.mark.parametrize(("manifest", "code"), [("several.yaml", 1), ("refused.yaml", 2), ("broken.yaml", 2)])
def test_diff_exits_with_1_for_changes_and_2_for_errors(manifest: str, code: int) -> None:
    assert run_on(manifest, "diff").exit_code == code


def test_diff_of_an_injected_manifest_is_empty() -> None:
    injected = run_on("several.yaml", "inject").stdout
    result = run("diff", "-f", "-", standard_input=injected)
    assert (result.exit_code, result.stdout) == (0, "")


def test_diff_shows_added_and_removed_lines() -> None:
    text = run_on("several.yaml", "diff").stdout
    assert '-        command: ["php", "bin/console", "messenger:consume", "async"]' in text
    assert "+      terminationGracePeriodSeconds: 3600" in text


def test_explain_says_for_each_container_what_is_changed_and_why() -> None:
    text = run_on("several.yaml", "explain").stdout
    for part in ("document 1, Deployment worker", "container worker", "Symfony Messenger", "--time-limit=60", "3600 s"):
        assert part in text
    for part in ("document 3, CronJob nightly", "container report", "[run-to-completion]"):
        assert part in text


def test_explain_says_why_a_pod_is_not_changed() -> None:
    assert "[not-a-worker]" in run_on("list.json", "explain").stdout


def test_explain_of_a_refused_pod_exits_with_1() -> None:
    result = run_on("refused.yaml", "explain")
    assert result.exit_code == 1
    assert "[annotation-invalid]" in result.stdout


def test_a_file_without_pods_stays_unchanged() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    assert run("inject", "-f", "-", standard_input=text).stdout == text


@pytest.mark.parametrize("command", ["inject", "diff"])
def test_an_object_without_a_pod_template_is_reported(command: str) -> None:
    text = "kind: ConfigMap\n---\nkind: RayCluster\nmetadata: {name: a}\n---\nkind: List\nitems: [{kind: Service}]\n"
    lines = run(command, "-f", "-", standard_input=text).stderr.splitlines()
    titles = ("-, document 1, ConfigMap: ", "-, document 2, RayCluster a: ", "-, document 3, Service: ")
    assert [line.startswith(title) for line, title in zip(lines, titles, strict=True)] == [True] * 3
    assert all("spec.template" in line for line in lines)


def test_explain_reports_an_object_without_a_pod_template() -> None:
    text = (MANIFESTS / "rollout.yaml").read_text() + "---\nkind: RayCluster\nmetadata: {name: a}\n"
    assert "-, document 2, RayCluster a" in run("explain", "-f", "-", standard_input=text).stdout


def test_an_object_with_a_pod_template_is_not_reported() -> None:
    assert "no pod template" not in run_on("rollout.yaml", "inject").stderr


@pytest.mark.parametrize("command", ["inject", "uninject", "diff", "explain"])
@pytest.mark.parametrize(
    "text", ["{{- if .Values.a }}\nkind: Pod\n{{- end }}\n", "kind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n"]
)
def test_a_helm_template_is_refused_until_it_is_rendered(command: str, text: str) -> None:
    result = run(command, "-f", "-", standard_input=text)
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    assert "this is a Helm template; render it first: helm template" in result.stderr


def test_pods_of_objects_that_create_jobs_run_to_completion() -> None:
    text = run_on("jobs.yaml", "explain").stdout
    assert text.count("[run-to-completion]") == 3


def test_inject_adds_no_restart_policy() -> None:
    injected = run_on("jobs.yaml", "inject").stdout
    assert injected.count("restartPolicy") == (MANIFESTS / "jobs.yaml").read_text().count("restartPolicy") == 1
    assert run("inject", "-f", "-", standard_input=injected).stdout == injected


@pytest.mark.parametrize("command", ["inject", "uninject", "explain"])
def test_a_broken_file_is_an_error_with_a_line_number(command: str) -> None:
    result = run_on("broken.yaml", command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "broken.yaml: " in result.stderr
    assert "line" in result.stderr


@pytest.mark.parametrize("command", ["inject", "uninject", "diff", "explain"])
def test_a_missing_file_is_an_error_with_its_name(command: str) -> None:
    result = run(command, "-f", "no-such-file.yaml")
    assert result.exit_code in (1, 2)
    assert "no-such-file.yaml: No such file" in result.stderr


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"kind: \xff\xfe")
    assert "not UTF-8" in run("inject", "-f", str(binary)).stderr


def test_uninject_refuses_a_forged_record() -> None:
    text = (MANIFESTS / "rollout.yaml").read_text()
    forged = text.replace("    spec:", '    metadata: {annotations: {graceful-worker/status: "nonsense"}}\n    spec:')
    result = run("uninject", "-f", "-", standard_input=forged)
    assert result.exit_code == 1
    assert "graceful-worker/status" in result.stderr


def test_certs_issue_writes_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    assert run("certs", "issue", "--host", "webhook.example.com", str(tmp_path / "pair")).exit_code == 0
    assert (tmp_path / "pair" / "tls.key").stat().st_mode & 0o777 == 0o600


def test_certs_issue_refuses_an_invalid_host_name(tmp_path: Path) -> None:
    result = run("certs", "issue", "--host", "a b", str(tmp_path))
    assert result.exit_code == 1
    assert "neither a DNS name nor an IP address" in result.stderr


def test_certs_show_prints_subject_issuer_and_hosts(tmp_path: Path) -> None:
    run("certs", "issue", "--host", "webhook.example.com", str(tmp_path))
    text = run("certs", "show", str(tmp_path / "tls.crt")).stdout
    for part in ("CN=graceful-worker\n", "signed by CN=graceful-worker throw-away CA", "for       webhook.example.com"):
        assert part in text


def test_certs_show_refuses_a_file_that_is_not_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("nonsense")
    result = run("certs", "show", str(tmp_path / "file"))
    assert result.exit_code == 1
    assert "contains no certificate" in result.stderr


def check_certificate(tmp_path: Path, host: str, ca: str = "a", key: str = "a") -> Result:
    for folder in ("a", "b"):
        run("certs", "issue", "--host", "webhook.shop.svc", str(tmp_path / folder))
    files = {"--cert": "a/tls.crt", "--key": f"{key}/tls.key", "--ca": f"{ca}/ca.crt"}
    words = [word for flag, file in files.items() for word in (flag, str(tmp_path / file))]
    return run("certs", "check", *words, "--host", host)


def test_certs_check_accepts_a_certificate_that_the_api_server_accepts(tmp_path: Path) -> None:
    assert "accepts the certificate for webhook.shop.svc" in check_certificate(tmp_path, "webhook.shop.svc").stdout


@pytest.mark.parametrize(
    ("host", "ca", "key"), [("other.svc", "a", "a"), ("webhook.shop.svc", "b", "a"), ("webhook.shop.svc", "a", "b")]
)
def test_certs_check_refuses_another_host_ca_or_key(tmp_path: Path, host: str, ca: str, key: str) -> None:
    assert check_certificate(tmp_path, host, ca, key).exit_code == 1


def test_serve_refuses_a_certificate_without_its_key(tmp_path: Path) -> None:
    run("certs", "issue", str(tmp_path / "a"))
    run("certs", "issue", str(tmp_path / "b"))
    pair = ["--tls-cert", str(tmp_path / "a" / "tls.crt"), "--tls-key", str(tmp_path / "b" / "tls.key")]
    result = run("serve", *pair)
    assert result.exit_code == 1
    assert "cannot be used" in result.stderr


@pytest.mark.parametrize("options", [[], ["--tls-cert", __file__]])
def test_serve_without_a_certificate_names_the_required_options(options: list[str]) -> None:
    result = run("serve", *options)
    assert result.exit_code == 1
    assert "--tls-key" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["inject"],
        ["uninject"],
        ["diff"],
        ["explain"],
        ["certs"],
        ["certs", "check"],
        ["serve"],
        ["status"],
        ["watch"],
    ],
)
def test_help_says_what_a_command_does(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_serve_help_names_the_environment_variables() -> None:
    text = run("serve", "--help").stdout
    for name in (
        "HOST",
        "PORT",
        "TLS_CERT",
        "TLS_KEY",
        "NAMESPACE",
        "CA_SECRET",
        "GRACE_PERIOD",
        "BODY_LIMIT",
        "DRAIN",
        "LOG_LEVEL",
    ):
        assert f"GRACEFUL_WORKER_{name}" in text


def test_status_help_lists_only_permissions_to_read() -> None:
    lines = run("status", "--help").stdout.partition("Required permissions")[2].splitlines()
    rights = [line for line in lines if line.startswith("    ")]
    assert len(rights) == len(
        (*PERMISSIONS, *DRAIN_LIMIT_PERMISSIONS, *DRAIN_HISTORY_PERMISSIONS, *KUBELET_PERMISSIONS)
    )
    assert {right.split()[0] for right in rights} == {"get", "list"}
    assert [right for right in rights if "secret" in right] == []


def test_version_prints_the_version_of_the_package() -> None:
    assert __version__ in run("--version").stdout
