#!/bin/sh
# Init container: copies the busybox of its image to where the containers of the pod find it, with the names that the
# scripts call it by.
#
#   busybox sh -c THIS graceful-worker FOLDER
#
# Needs nothing of the image but /bin/busybox. Init containers run again when the pod's sandbox is made anew: the copy that
# may be in use is replaced, not written to.

gw_busybox=/bin/busybox
gw_folder=$1

umask 022
"$gw_busybox" mkdir -p "$gw_folder" || exit
"$gw_busybox" cp "$gw_busybox" "$gw_folder/new" && "$gw_busybox" mv -f "$gw_folder/new" "$gw_folder/busybox" || exit
for gw_name in sh mkdir mkfifo rm sleep tr env; do
  "$gw_busybox" ln -sf busybox "$gw_folder/$gw_name" || exit
done
