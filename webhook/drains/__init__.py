"""Drains: what pods tell of them, how they end, and who is told."""
