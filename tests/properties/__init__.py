"""Properties of every pod, realistic or unusual, and of objects that are not pods."""
