"""`graceful-worker drains`: how pods terminate, with which outcome, and the output about it."""
