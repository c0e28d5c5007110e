# First, so that a failing or slow hook does not keep a loop running. The time is used to count from the deletion, and
# by sidecars: after a liveness restart, the previous drain's file still exists. Renamed, because a process that reads
# the file between its creation and the write would find no time, and take it for the previous drain's.
look_at_clock
(
  umask 022
  # shellcheck disable=SC2086 # Digits.
  cd "$gw_folder" && { echo $gw_now >new && mv -f new kill_me || echo $gw_now >kill_me; }
)
gw_code=$?
