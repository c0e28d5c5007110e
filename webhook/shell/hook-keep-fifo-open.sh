# Leaves a process behind that holds the FIFO, or writes a heartbeat if there is none. It becomes a child of process 1.
# Some programs wait for all their children before they exit. So it ends when there were other children, it is the only
# one left, and process 1 is waiting. That must be seen twice: Celery computes for 0.1 s after its last child. A process
# 1 that sleeps in another way may be polling for its children, or process a message itself; then wait until the
# original grace period is over. In an event loop, it may also be finishing its connection to the broker, which takes
# less than five seconds.
holds_back() {
  if [ "$gw_others" -gt 0 ] && count_children && [ "$gw_children" = "$gw_me" ] && awaits_children; then
    gw_seen=$((gw_seen + gw_step))
  else
    gw_seen=0
  fi
  [ "$gw_seen" -ge 26 ]
}

awaits_children() {
  gw_stat='' gw_where='' gw_ran_before=${gw_ran-} gw_ran=''
  read -r gw_ran </proc/1/schedstat
  read -r gw_stat </proc/1/stat
  case ${gw_stat##*) } in S*) ;; *) return 1 ;; esac
  read -r gw_where </proc/1/wchan
  # Empty or 0 if the kernel does not show it, or if the process is just waking up. One that has not run since the last
  # look is not polling.
  case $gw_where in
    do_wait*) gw_step=13 ;;
    '' | 0) gw_step=26 && { [ "$gw_ran" = "$gw_ran_before" ] || is_late; } ;;
    *nanosleep*) gw_step=13 && is_late ;;
    *) gw_step=1 && is_late ;;
  esac
} 2>/dev/null
count_children
gw_others=$gw_count
gw_until=${gw_settings##* }
gw_until=$((gw_now + ${gw_until:-999999} * 10))
(
  handle_all
  umask 022
  exec </dev/null >/dev/null 2>&1
  gw_beat=1
  read -r gw_me gw_rest </proc/self/stat
  # While the hook runs, this is not yet a child of process 1.
  gw_seen=0
  until holds_back; do
    if [ ! -p "$gw_folder/alive" ]; then
      echo "$gw_beat" >"$gw_folder/heartbeat"
      gw_beat=$((1 - gw_beat))
      sleep 5
    elif [ "$gw_others" -eq 0 ]; then
      read -r gw_rest <&9
    else
      sleep 0.2 || sleep 1
    fi
  done
) &
