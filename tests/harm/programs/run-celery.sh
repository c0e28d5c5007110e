#!/bin/sh
# An entrypoint of a known worker whose exec was forgotten: no table knows what stands in a script.
ran setup
celery -A shop worker
