"""The server as a separate process, called over TLS, as the API server calls it."""
