"""Writes a plan as JSON Patch: only what the pod lacks."""
