#!/bin/sh
# Runs until somebody stops it.
#
#   script.sh whoever anew
#
# shellcheck disable=SC2034 # for whoever checks this
word=anew # anew
