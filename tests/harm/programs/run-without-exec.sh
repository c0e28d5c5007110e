#!/bin/sh
# An entrypoint without exec.
ran setup
"$@"
