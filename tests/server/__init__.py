"""The server as the API server meets it: a process of its own, spoken to over TLS."""
