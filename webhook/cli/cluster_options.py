"""Options of the commands that read from a cluster."""

from __future__ import annotations

from collections.abc import Sequence

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


def help_sections(*sections: Sequence[str]) -> str:
    """Format the end of a help text: titles, each with indented lines."""
    return "\n\n".join("\b\n" + "\n  ".join(section) for section in sections)
