"""The command line: `serve`, the commands for manifests, and those for a cluster."""
