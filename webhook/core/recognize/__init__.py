"""Recognizes what a container runs, by its command line and the name of its image; the tables are data."""
