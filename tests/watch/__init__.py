"""`graceful-worker watch`: what it counts, says and serves."""
