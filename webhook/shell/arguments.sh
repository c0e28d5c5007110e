# The start of every script:
#
#   sh -c SCRIPT graceful-worker FOLDER SETTINGS [COMMAND ARGUMENT...]
#
# Every variable starts with gw_: assigning to a variable from the environment would change what COMMAND sees. From the
# image, only mkdir, mkfifo, mv, rm, sleep, tr and env are used; each of them may be missing.

gw_bin=${0%graceful-worker}
gw_folder=$1
gw_settings=$2
shift 2
