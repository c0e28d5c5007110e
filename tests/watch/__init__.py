"""`graceful-worker watch`: its metrics, Events, logs and HTTP server."""
