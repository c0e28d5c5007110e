"""Runs the demo step by step; it takes about half a minute and stops everything that it starts."""

from __future__ import annotations

import difflib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from certs.authority import LOCAL_HOSTS, issue_certificate
from demo.client import Webhook, pod_of
from demo.local_pod import LocalPod, isolation_refusal
from webhook.cli.explanation import explain
from webhook.cli.manifests import Template
from webhook.core.annotations import LABEL, annotation_of
from webhook.core.injection import inject
from webhook.core.pod import JsonObject
from webhook.core.policy import Policy
from webhook.core.scripts import LOOP, sidecar_hook, worker_hook

ROOT = Path(__file__).parent.parent
SYMFONY = ROOT / "demo" / "symfony" / "bin" / "console"
SYMFONY_PACKAGES = ("php-cli", "php-symfony-messenger", "php-symfony-console", "php-symfony-event-dispatcher")
SYMFONY_FILES = [
    Path(f"/usr/share/php/Symfony/Component/{component}/autoload.php")
    for component in ("Messenger", "Console", "EventDispatcher")
]
SCRIPTS = {
    LOOP: "webhook/shell/loop.sh",
    **{
        worker_hook(
            "listen", sidecars_wait=holds, chained=chained, process_1_is_wrapper=True
        ): "webhook/shell/hook-*.sh"
        for holds in (False, True)
        for chained in (False, True)
    },
    **{
        sidecar_hook(chained=chained, has_parent=has_parent): "webhook/shell/sidecar-prestop.sh"
        for chained in (False, True)
        for has_parent in (False, True)
    },
}
SHORT_GRACE = 2
"""The pods' grace period in seconds: shorter than a message, as 30 s are for many."""
COLOURS = {"worker": "yellow", "sidecar": "cyan", "kubelet": "magenta"}


def main() -> None:
    """Run the demo."""
    with (
        tempfile.TemporaryDirectory(prefix="graceful-worker-demo-") as folder,
        running_webhook(Path(folder)) as webhook,
    ):
        show_patch(webhook)
        show_termination(webhook, Path(folder))
        show_symfony(webhook, Path(folder))
    click.secho("\nEverything that the demo started has been stopped.", dim=True)


def headline(text: str) -> None:
    """Print a headline."""
    click.secho(f"\n━━ {text} ", bold=True, nl=False)
    click.secho("━" * max(100 - len(text), 3), bold=True)


@contextmanager
def running_webhook(folder: Path) -> Iterator[Webhook]:
    """Run the webhook as shipped, with its own certificate, on a free port."""
    headline("The webhook starts: HTTPS on loopback, with a throw-away CA and certificate")
    pair = folder / "certs"
    issue_certificate(LOCAL_HOSTS).write(pair)
    log = (folder / "webhook.log").open("w+")
    command = [sys.executable, "-m", "webhook", "serve", "--host", "127.0.0.1", "--port", "0", "--drain", "0"]
    command += ["--tls-cert", str(pair / "tls.crt"), "--tls-key", str(pair / "tls.key")]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
    try:
        webhook = Webhook(address(process, folder / "webhook.log"), pair / "ca.crt")
        click.echo(f"{webhook.url}/readyz says {webhook.get('/readyz').decode()}")
        yield webhook
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the webhook logs its port."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        for word in log.read_text().split():
            if word.startswith("https://"):
                return word
        time.sleep(0.05)
    raise SystemExit(f"The webhook did not start:\n{log.read_text()}")


def show_patch(webhook: Webhook) -> None:
    """Send the Symfony Messenger example, and show the patched pod and the reasons."""
    headline("A pod of examples/symfony-messenger.yaml is created: what the webhook makes of it")
    pod = pod_of(YAML(typ="safe").load(ROOT / "examples" / "symfony-messenger.yaml"))
    patched, warnings = webhook.admit(pod)
    before, after = as_yaml(pod), as_yaml(patched)
    for line in difflib.unified_diff(before, after, "the pod as it was", "the pod as it is created", n=2):
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[0])
        click.secho(line, fg=colour, bold=line.startswith(("+++", "---")))
    for text in warnings:
        click.secho(f"Warning: {text}", fg="yellow")
    headline("Why: the same as `graceful-worker explain -f examples/symfony-messenger.yaml`")
    template = Template(0, "", pod, "Pod", "messenger-…")
    click.echo("\n".join(explain("examples/symfony-messenger.yaml", template, inject(pod, Policy()))))


def as_yaml(pod: JsonObject) -> list[str]:
    """Write a pod as lines of YAML, with the scripts' names in place of their texts."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.width = 10_000
    yaml.dump(readable(pod), stream)
    return stream.getvalue().splitlines()


def readable(value: Any) -> Any:
    """Put names in place of scripts, and the status in lines of its own."""
    if isinstance(value, dict):
        return {key: readable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [readable(item) for item in value]
    if value in SCRIPTS:
        return f"«{SCRIPTS[value]}: {value.count(chr(10))} lines»"
    if isinstance(value, str) and value.startswith("{"):
        return LiteralScalarString(value.replace(',"', ',\n"') + "\n")
    return value


def can_isolate() -> bool:
    """Tell whether containers can run here; if not, print why."""
    reason = isolation_refusal()
    if reason:
        click.echo(f"Left out, because this machine lets nobody make namespaces of processes: {reason}")
    return not reason


def pod_with_sidecar(command: list[str], annotations: dict[str, str] | None = None) -> JsonObject:
    """Return a pod of a worker and a sidecar, as a user would write it."""
    sidecar = [sys.executable, str(ROOT / "demo" / "sidecar.py")]
    return {
        "metadata": {"generateName": "demo-", "labels": {LABEL: "enabled"}, "annotations": annotations or {}},
        "spec": {
            "terminationGracePeriodSeconds": SHORT_GRACE,
            "containers": [
                {"name": "worker", "image": "demo", "command": command},
                {"name": "sidecar", "image": "demo", "command": sidecar},
            ],
        },
    }


def show_termination(webhook: Webhook, folder: Path) -> None:
    """Run a small worker with a sidecar, unprotected and protected, and delete the pod in mid-message."""
    if not can_isolate():
        return
    # It handles one message and exits, which no table knows, so the pod sets the mode.
    pod = pod_with_sidecar([sys.executable, str(ROOT / "demo" / "worker.py")], {annotation_of("mode"): "loop"})
    headline("The unprotected pod is deleted in mid-message: its grace period is too short, and the message is lost")
    run_and_delete(pod, folder / "unprotected", seconds=0.5)
    headline("The protected pod is deleted in mid-message: it ends, the loop stops, the sidecar leaves last")
    patched, _ = webhook.admit(pod)
    run_and_delete(patched, folder / "protected", seconds=4.5)


def show_symfony(webhook: Webhook, folder: Path) -> None:
    """Do the same with Symfony Messenger itself, where PHP and its packages are installed."""
    php = shutil.which("php")
    headline("Symfony Messenger itself")
    if not can_isolate():
        return
    if php is None or not all(file.exists() for file in SYMFONY_FILES):
        click.echo(f"Left out, because PHP or Symfony is missing: apt-get install {' '.join(SYMFONY_PACKAGES)}")
        return
    queue = folder / "queue"
    queue.mkdir()
    environment = {**os.environ, "QUEUE_DIRECTORY": str(queue)}
    subprocess.run([php, str(SYMFONY), "demo:send", "3", "3"], env=environment, check=True)
    pod = pod_with_sidecar([php, str(SYMFONY), "messenger:consume", "async"])
    patched, _ = webhook.admit(pod)
    run_and_delete(patched, folder / "symfony", seconds=4.5, environment=environment)
    waiting, cut_off = (len(list(queue.glob(f"*.{state}"))) for state in ("json", "taken"))
    click.echo(f"Of 3 messages, {waiting} still wait in the queue for another pod, and {cut_off} were cut off.")


def run_and_delete(pod: JsonObject, volume: Path, seconds: float, environment: dict[str, str] | None = None) -> None:
    """Run a pod, delete it after some seconds, and print what happens when."""
    volume.mkdir()
    begin = time.monotonic()

    def print_line(name: str, line: str) -> None:
        click.echo(f"{time.monotonic() - begin:6.2f} s  {click.style(f'{name:8}', fg=COLOURS[name])}  {line}")

    local = LocalPod(pod, volume, print_line, environment)
    try:
        local.start()
        time.sleep(seconds)
        print_line("kubelet", "the pod is deleted")
        local.delete()
        print_line("kubelet", "the pod is gone")
    finally:
        local.kill()


main()
