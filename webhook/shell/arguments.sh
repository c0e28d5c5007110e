# The beginning of every script:
#
#   sh -c SCRIPT graceful-worker FOLDER SETTINGS [COMMAND ARGUMENT...]
#
# Every variable begins with gw_: assigning to one that came with the environment would change what COMMAND sees. Of the
# image, nothing is needed but mkdir, mkfifo, rm, sleep, tr and env; each of them may be missing.

gw_bin=${0%graceful-worker}
gw_folder=$1
gw_settings=$2
shift 2
