"""Drains: how pods terminate, with which outcome, and reports about it."""
