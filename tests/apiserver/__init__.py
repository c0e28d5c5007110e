"""Tests of the webhook with a real API server; they are skipped if its binaries are missing."""
