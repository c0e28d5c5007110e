"""What images run, asked of real registries, and of servers that behave as registries should not."""
