"""Properties of every pod: realistic ones, unusual ones, and objects that are not pods."""
