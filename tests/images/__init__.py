"""Image lookups, with real registries and with servers that misbehave."""
