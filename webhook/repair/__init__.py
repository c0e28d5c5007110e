"""What `graceful-worker repair` restarts, so that unprotected pods become protected ones, and what comes of it."""
