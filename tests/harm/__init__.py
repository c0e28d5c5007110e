"""No worse than bare: run every kind of worker once in its original pod, and once in the pod that the product patched.

A case is a file in `cases/`: what the pod runs, and what is expected of the patched pod beyond "no worse". It runs
with each shell that an image may have as /bin/sh. The pod is deleted during a message, and both runs are compared.
"""
