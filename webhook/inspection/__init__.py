"""What `graceful-worker status` reads from a cluster, and what it checks."""
