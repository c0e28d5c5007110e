"""`graceful-worker watch`: follows the drains of a cluster, and tells of them in metrics, Events and a log."""
