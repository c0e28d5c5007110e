#!/bin/sh
# An entrypoint without exec for a known worker: the product's tables do not cover the content of scripts.
ran setup
celery -A shop worker
