"""How the drains of owners went, and what follows for their grace periods."""
