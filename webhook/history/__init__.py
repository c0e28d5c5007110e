"""`graceful-worker drains --history`: how drains ended, and what follows for grace periods."""
