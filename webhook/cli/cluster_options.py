"""Options of the commands that read from a cluster."""

from __future__ import annotations

import click

from webhook.inspection.snapshot import Names

context_option = click.option(
    "--context", metavar="NAME", help="Context in the kubeconfig.  [default: the current context]"
)
configuration_option = click.option(
    "--configuration",
    metavar="NAME",
    default=Names().configuration,
    show_default=True,
    help="Name of the MutatingWebhookConfiguration.",
)
output_option = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
