"""`graceful-worker status`: takes a snapshot of a cluster, and checks it."""
