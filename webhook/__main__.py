"""`python -m webhook` is the command line."""

from webhook.cli.commands import main

main()
