"""`graceful-worker repair`: which owners to restart so that their pods are protected, and the results."""
