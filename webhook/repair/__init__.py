"""`graceful-worker repair`: which workloads to restart so that their pods are protected, and the results."""
