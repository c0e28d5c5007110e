"""`graceful-worker watch`: reports the drains of a cluster as metrics, Events and logs."""
