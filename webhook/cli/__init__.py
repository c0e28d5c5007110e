"""The command line: the same core as the webhook, for manifests kept in Git."""
