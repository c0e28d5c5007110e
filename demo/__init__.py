"""`make demo`: a pod is sent through the real webhook, and the patched pod is terminated in mid-message."""
