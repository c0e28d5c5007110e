"""`graceful-worker repair`: plans, runs and rollouts as files, and tests that do not fit into files."""
