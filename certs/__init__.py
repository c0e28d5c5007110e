"""Certificates for the webhook."""
