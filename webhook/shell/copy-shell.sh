#!/bin/sh
# Init container: copies the busybox of its image into the shared volume, with links for the names that the scripts use.
#
#   busybox sh -c THIS graceful-worker FOLDER
#
# Only needs /bin/busybox in the image. Init containers run again when the pod's sandbox is recreated: the existing
# copy, which may be in use, is replaced, not overwritten.

gw_busybox=/bin/busybox
gw_folder=$1

umask 022
"$gw_busybox" mkdir -p "$gw_folder" || exit
"$gw_busybox" cp "$gw_busybox" "$gw_folder/new" && "$gw_busybox" mv -f "$gw_folder/new" "$gw_folder/busybox" || exit
for gw_name in sh mkdir mkfifo mv rm sleep tr env; do
  "$gw_busybox" ln -sf busybox "$gw_folder/$gw_name" || exit
done
