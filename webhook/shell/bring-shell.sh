#!/bin/sh
# Init container: copies the busybox of its image to where the containers of the pod find it, with the names that the
# scripts call it by.
#
#   sh -c THIS graceful-worker FOLDER
#
# Init containers run again when the pod's sandbox is made anew: the copy that may be in use is replaced, not written to.

gw_folder=$1

umask 022
mkdir -p "$gw_folder" || exit
cp /bin/busybox "$gw_folder/new" && mv -f "$gw_folder/new" "$gw_folder/busybox" || exit
for gw_name in sh mkdir rm sleep; do
  ln -sf busybox "$gw_folder/$gw_name" || exit
done
