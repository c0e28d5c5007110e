#!/bin/sh
# An entrypoint whose exec was forgotten.
ran setup
"$@"
