"""No worse than bare: every kind of worker as process 1, once as it is written and once as the product patches its pod.

A case is a file in `cases/`: what the pod runs, and what is expected of the patched one beyond "no worse". It runs
under each shell that an image may have as /bin/sh. The pod is deleted in mid-message, and both runs are compared.
"""
