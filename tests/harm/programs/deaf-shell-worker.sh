#!/bin/sh
# A worker that is a shell script and heeds nothing.
. /usr/local/lib/harm/worker.sh
witness w
while true; do
  message w
done
