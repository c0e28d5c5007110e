"""`make demo`: a pod is sent through the real webhook, and a patched pod through a termination in mid-message."""
