# First, so that a failing or slow hook does not keep a loop running. The time is used to count from the deletion, and
# by sidecars: after a liveness restart, the previous drain's file still exists.
look_at_clock
(umask 022 && echo "$gw_now" >"$gw_folder/kill_me")
gw_code=$?
