"""What `graceful-worker status` asks of a cluster, and what it concludes from the answers."""
