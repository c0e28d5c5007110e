"""The command line: the same core as the webhook, for people who keep the result in Git."""
