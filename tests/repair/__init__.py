"""`graceful-worker repair`: plans, runs and rollouts as files, and what does not fit into files."""
