#!/bin/sh
# An entrypoint that ends in exec.
ran setup
exec "$@"
