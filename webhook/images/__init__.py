"""Image lookups: what images run, from the operator's table and from registries."""
