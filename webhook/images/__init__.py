"""Image lookups: the operator's table and registries."""
