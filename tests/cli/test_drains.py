"""`graceful-worker drains` in terminals and pipelines, with an API server on loopback that has its own clock."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.drains.api_server import ApiServer
from tests.drains.pods import START, pod
from tests.drains.process import DrainsProcess
from webhook.cli.commands import main
from webhook.cli.drains import PERMISSIONS, ROLLOUT_PERMISSIONS

DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/emails"
FINISHED = {"worker": {"at": 142}}
KILLED = {"worker": {"code": 137, "at": 160}}
COMPLETE = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "no quota"}
RUNNING = {**COMPLETE, "replicas": 2}


def deployment(status: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "emails", "generation": 2}, "spec": {"replicas": 1}, "status": status}


@pytest.fixture
def api() -> ApiServer:
    """A fake API server at second 100 of its own clock, which differs from the local one."""
    return ApiServer(second=100)


@pytest.fixture
def address(api: ApiServer) -> Iterator[str]:
    with api.served() as address:
        yield address


def run_to_end(directory: Path, address: str, *arguments: str, code: int = 0) -> DrainsProcess:
    with DrainsProcess(directory, address, *arguments) as running:
        assert running.end() == code, running.errors
        return running


def test_the_table_has_the_remaining_time_according_to_the_api_servers_clock(
    tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.see(pod("a", deleted=99), pod("b"))
    head, line = run_to_end(tmp_path, address).lines
    assert head.split()[:5] == ["NAMESPACE", "POD", "OWNER", "WORKER", "CAUSE"]
    used = re.fullmatch(r"shop +a +deployment/emails +celery \(signal\) +deletion +(\d+)s +59m\d+s of 1h +node-1", line)
    assert used
    assert 1 <= int(used[1]) <= (api.now - START).total_seconds() - 99 + 1


def test_without_drains_the_output_has_the_number_of_pods(tmp_path: Path, api: ApiServer, address: str) -> None:
    api.see(pod("a"), pod("b"))
    assert run_to_end(tmp_path, address).text == "No drains: 2 protected pods, none terminating.\n"


def test_json_is_one_object(tmp_path: Path, api: ApiServer, address: str) -> None:
    api.see(pod("a", deleted=60), pod("b", deleted=60, owner="Job b"))
    output = json.loads(run_to_end(tmp_path, address, "-o", "json", "job/b").text)
    assert output["context"] == "prod"
    assert [(drain["pod"], drain["deadline"]) for drain in output["drains"]] == [("b", "2026-08-01T04:01:00Z")]


def test_only_the_given_namespaces_are_listed(tmp_path: Path, api: ApiServer, address: str) -> None:
    run_to_end(tmp_path, address, "-n", "shop", "-n", "mail")
    assert api.requests == ["list /api/v1/namespaces/shop/pods", "list /api/v1/namespaces/mail/pods"]


def test_a_single_table_needs_no_permission_to_watch(tmp_path: Path, api: ApiServer, address: str) -> None:
    api.refused["watch"] = 403
    run_to_end(tmp_path, address)


@pytest.mark.parametrize("arguments", [(), ("--watch",), ("--wait",)])
def test_a_missing_permission_is_reported_and_the_exit_code_is_2(
    arguments: tuple[str, ...], tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.refused["list"] = 403
    assert (
        "permission missing to list and watch pods in all namespaces"
        in run_to_end(tmp_path, address, *arguments, code=2).errors
    )


def test_a_missing_kubeconfig_is_reported(tmp_path: Path) -> None:
    assert "set KUBECONFIG" in run_to_end(tmp_path, "", code=2).errors


def test_a_piped_watch_writes_a_line_for_the_start_and_the_end_of_each_drain(
    tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.see(pod("a"))
    with DrainsProcess(tmp_path, address, "--watch") as process:
        api.until_watched()
        api.see(pod("a", deleted=100))
        process.until("shop/a drains")
        api.gone(pod("a", deleted=100, ends=FINISHED))
        process.until("shop/a finished")
        assert process.interrupt() == 0
    begun, over = process.lines
    assert re.fullmatch(r"\S+Z shop/a drains: deployment/emails, celery \(signal\), deletion, node-1; \S+ of 1h", begun)
    assert re.fullmatch(r"2026-08-01T03:0\S+Z shop/a finished after 42 s of 3600 s", over)
    assert (process.errors, "\x1b" in process.raw) == ("", False)


def test_a_piped_watch_with_json_writes_an_object_for_the_start_and_the_end_of_each_drain(
    tmp_path: Path, api: ApiServer, address: str
) -> None:
    with DrainsProcess(tmp_path, address, "--watch", "-o", "json") as process:
        api.until_watched()
        api.gone(pod("a", deleted=100, grace=60, ends=KILLED))
        process.until('"ended"')
        assert process.interrupt(signal.SIGTERM) == 0
    begun, over = map(json.loads, process.lines)
    assert (begun["event"], begun["pod"], begun["periodSeconds"]) == ("begun", "a", 60)
    assert (over["event"], over["pod"], over["outcome"], over["seconds"]) == ("ended", "a", "killed", 60)


def test_a_watch_continues_after_an_expired_version_and_a_dropped_connection(
    tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.see(pod("a", deleted=100), pod("b", deleted=100))
    with DrainsProcess(tmp_path, address, "--watch") as process:
        process.until("shop/a drains", "shop/b drains")
        api.until_watched()
        api.drop()
        api.gone(pod("a", deleted=100, ends=FINISHED))
        process.until("shop/a finished")
        api.pods.clear()
        api.expire()
        process.until("shop/b is gone: the end of its worker was not observed")
        assert process.interrupt() == 0


def test_a_piped_watch_reports_when_the_connection_is_lost_and_when_it_is_restored(
    tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.see(pod("a", deleted=100))
    with DrainsProcess(tmp_path, address, "--watch") as process:
        process.until("shop/a drains")
        api.until_watched()
        api.go_away()
        process.until("no connection to the API server since")
        api.come_back()
        process.until("the API server responds again")
        api.gone(pod("a", deleted=100, ends=FINISHED))
        process.until("shop/a finished")
        assert process.interrupt() == 0
    begun, lost, back, _ = process.lines
    match = re.fullmatch(
        r"(\S+) no connection to the API server since (\S+): the API server cannot be reached: .+", lost
    )
    assert match
    assert begun.partition(" ")[0] <= match[2] <= match[1] <= back.partition(" ")[0]


def test_a_piped_watch_with_json_reports_connection_changes_as_events(
    tmp_path: Path, api: ApiServer, address: str
) -> None:
    with DrainsProcess(tmp_path, address, "--watch", "-o", "json") as process:
        api.until_watched()
        api.go_away()
        process.until('"disconnected"')
        api.come_back()
        process.until('"connected"')
        assert process.interrupt() == 0
    lost, back = map(json.loads, process.lines)
    assert (lost["event"], back["event"]) == ("disconnected", "connected")
    assert lost["since"] <= lost["time"] <= back["time"]
    assert lost["reason"].startswith("the API server cannot be reached")


@pytest.mark.parametrize("width", [80, 150])
def test_a_terminal_shows_a_lost_connection_and_the_age_of_the_table(
    width: int, tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.see(pod("emails-1", deleted=99))
    with DrainsProcess(tmp_path, address, "--watch", size=(12, width)) as process:
        process.until("prod: 1 drain", "emails-1")
        assert "No connection" not in process.text
        api.until_watched()
        api.go_away()
        process.until("prod: 1 drain", "No connection to the API server since 03:0", "the table is as", "emails-1")
        api.come_back()
        api.until_watched()
        api.gone(pod("emails-1", deleted=99, ends=FINISHED))
        process.until("finished after")
        process.until("prod: No drains.")
        before = len(process.text)
        process.until("prod: No drains.", "finished after")
        assert "No connection" not in process.text[before:]
        assert process.interrupt() == 0


def test_a_lost_connection_is_shown_in_a_terminal_with_fewer_lines_than_drains(
    tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.see(*(pod(f"emails-{number}", deleted=99) for number in range(40)))
    with DrainsProcess(tmp_path, address, "--watch", size=(12, 60)) as process:
        process.until("prod: 40 drains", "… and 32 more")
        api.until_watched()
        api.go_away()
        process.until("No connection to the API server")
        process.until("prod: 40 drains", "No connection to the API server since 03:0", "the table is as", "… and 3")
        assert process.interrupt() == 0
    for drawn in process.text.split("prod: 40 drains")[1:]:
        assert drawn.rstrip("\n").count("\n") < 12


def test_a_terminal_redraws_the_bars_and_keeps_ended_drains(tmp_path: Path, api: ApiServer, address: str) -> None:
    api.see(pod("emails-1", deleted=60, grace=600), pod("emails-2", deleted=99))
    with DrainsProcess(tmp_path, address, "--watch", size=(30, 150)) as process:
        process.until(
            "prod: 2 drains", "TIME USED", "emails-1", "━━", "of 10m", "OVERDUE" if api.now.second > 41 else ""
        )
        first = process.text
        process.until("emails-1", "emails-2")
        assert process.text != first
        api.gone(pod("emails-2", deleted=99, ends={"worker": {"at": 141}}))
        process.until("prod: 1 drain", "emails-2", "finished after 42 s of 3600 s")
        api.gone(pod("emails-1", deleted=60, grace=600, ends={"worker": {"code": 137, "at": 660}}))
        process.until("No drains.", "killed after 600 s of 600 s", "finished after 42 s")
        assert process.interrupt() == 0
    assert process.errors == ""
    assert process.raw.rstrip().endswith("\x1b[?25h"), "the cursor is shown again"


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_narrow_terminal_leaves_out_the_less_important_columns(
    width: int, tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.see(*(pod(f"emails-{number}", deleted=99) for number in range(40)))
    with DrainsProcess(tmp_path, address, "--watch", size=(12, width)) as process:
        process.until("prod: 40 drains", "emails-0", "of 1h", "… and 32 more")
        assert process.interrupt() == 0
    assert max(map(len, process.lines)) <= width
    assert ("NODE" in process.text) is (width == 200)


def test_a_terminal_without_cursor_control_gets_plain_lines(tmp_path: Path, api: ApiServer, address: str) -> None:
    api.see(pod("a", deleted=60))
    with DrainsProcess(tmp_path, address, "--watch", size=(24, 80), term="dumb") as process:
        process.until("shop/a drains:")
        assert process.interrupt() == 0


@pytest.mark.parametrize(
    ("grace", "ends", "code", "words"),
    [
        (3600, FINISHED, 0, "1 drain ended: 1 finished."),
        (60, KILLED, 1, "killed: shop/a. The worker was killed at the end of its grace period."),
        (3600, {}, 2, "unseen: shop/a."),
    ],
)
def test_a_wait_ends_with_the_drains_and_reports_their_outcomes(
    grace: int, ends: dict[str, Any], code: int, words: str, tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.see(pod("a", deleted=100, grace=grace), pod("b", owner="Deployment other", deleted=100))
    api.objects[DEPLOYMENT] = deployment(COMPLETE)
    with DrainsProcess(tmp_path, address, "--wait", "deploy/emails", "-n", "shop") as process:
        process.until("shop/a drains")
        api.gone(pod("b", owner="Deployment other", deleted=100, ends=FINISHED))
        api.until_watched()
        api.gone(pod("a", deleted=100, grace=grace, ends=ends))
        process.until("ended: ")
        assert process.end() == code
    assert words in process.text


def test_a_wait_without_drains_ends_at_once(tmp_path: Path, api: ApiServer, address: str) -> None:
    api.see(pod("a"))
    assert run_to_end(tmp_path, address, "--wait").text == "No drain was observed.\n"


def test_a_wait_for_a_rollout_waits_for_drains_that_have_not_started_yet(
    tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.see(pod("a"), pod("new", revision="2"))
    api.objects[DEPLOYMENT] = deployment(RUNNING)
    with DrainsProcess(tmp_path, address, "--wait", "deployment/emails", "-n", "shop") as process:
        api.until(lambda: f"get {DEPLOYMENT}" in api.requests)
        api.see(pod("a", deleted=100))
        api.objects[DEPLOYMENT] = deployment(COMPLETE)
        process.until("shop/a drains: deployment/emails, celery (signal), rollout")
        api.gone(pod("a", deleted=100, ends=FINISHED))
        process.until("1 drain ended: 1 finished.")
        assert process.end() == 0


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ({}, "deployment/emails does not exist in namespace shop"),
        (
            {DEPLOYMENT: deployment({**RUNNING, "conditions": [STUCK]})},
            "of deployment/emails in namespace shop has stopped: old pods pending termination: 1 (no quota)",
        ),
    ],
)
def test_a_wait_ends_with_an_error_for_a_rollout_that_cannot_complete(
    objects: dict[str, Any], words: str, tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.objects |= objects
    assert words in run_to_end(tmp_path, address, "--wait", "deploy/emails", "-n", "shop", code=2).errors


def test_without_permission_to_read_the_deployment_a_wait_says_what_it_waits_for(
    tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.refused["get"] = 403
    process = run_to_end(tmp_path, address, "--wait", "deploy/emails", "-n", "shop")
    assert (
        "Permission missing: get deployments.apps emails in namespace shop. Waiting only for drains in progress"
        in process.errors
    )


def test_a_wait_ends_at_its_timeout_and_names_the_remaining_drains(
    tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.see(pod("a", deleted=100))
    process = run_to_end(tmp_path, address, "--wait", "--timeout", "5", code=3)
    assert "still draining: shop/a" in process.text
    assert process.errors == "the timeout of 5 s has expired\n"


def test_an_interrupted_wait_exits_with_130(tmp_path: Path, api: ApiServer, address: str) -> None:
    api.see(pod("a", deleted=100))
    with DrainsProcess(tmp_path, address, "--wait") as process:
        process.until("shop/a drains")
        assert process.interrupt() == 130


def test_a_wait_can_show_the_table_in_a_terminal(tmp_path: Path, api: ApiServer, address: str) -> None:
    api.see(pod("a", deleted=100, grace=60))
    with DrainsProcess(tmp_path, address, "--watch", "--wait", size=(24, 120)) as process:
        process.until("prod: 1 drain", "TIME USED")
        api.gone(pod("a", deleted=100, grace=60, ends=KILLED))
        process.until("killed: shop/a. The worker was killed at the end of its grace period.")
        assert process.end() == 1


def test_a_wait_with_json_ends_with_an_object_of_the_outcomes(tmp_path: Path, api: ApiServer, address: str) -> None:
    api.see(pod("a", deleted=100, grace=60))
    with DrainsProcess(tmp_path, address, "--wait", "-o", "json") as process:
        process.until('"begun"')
        api.until_watched()
        api.gone(pod("a", deleted=100, grace=60, ends=KILLED))
        assert process.end() == 1
    last = json.loads(process.lines[-1])
    assert last == {"event": "over", "exitCode": 1, "outcomes": {"killed": 1}, "draining": []}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-A", "-n", "shop"], "mutually exclusive"),
        (["--timeout", "60"], "--timeout requires --wait"),
        (["--wait", "--timeout", "soon"], "1h30m"),
        (["--wait", "deployment/emails"], "-n NAME once"),
        (["--wait", "deployment/emails", "-n", "shop", "-n", "mail"], "-n NAME once"),
        (["emails"], "deployment/emails"),
    ],
)
def test_a_contradictory_or_invalid_option_is_a_usage_error(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["drains", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr


def test_help_lists_permissions_and_exit_codes() -> None:
    text = CliRunner().invoke(main, ["drains", "--help"]).stdout
    for part in (*PERMISSIONS, *ROLLOUT_PERMISSIONS, "killed, cut short, ran out of memory", "kubectl drain"):
        assert part in text


def test_serve_and_a_plain_table_do_not_import_rich() -> None:
    code = "import sys, webhook.cli.serve, webhook.cli.drains_run; print('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
