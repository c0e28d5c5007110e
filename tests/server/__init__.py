"""The server as a process of its own, called over TLS, as the API server calls it."""
