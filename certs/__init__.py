"""Certificates for the webhook: the throw-away pair of a local server."""
