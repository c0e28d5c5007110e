"""What images run, learned from the operator's table and from registries."""
