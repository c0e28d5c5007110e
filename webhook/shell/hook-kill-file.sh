# First of all, so that neither failure nor slowness of another hook keeps a loop running. The time is for those who count
# from the deletion, and for sidecars: after a liveness restart the file of the drain before is still there.
look_at_clock
(umask 022 && echo "$gw_now" >"$gw_folder/kill_me")
gw_code=$?
