"""What must hold for every pod: realistic ones, odd ones, and what is no pod at all."""
