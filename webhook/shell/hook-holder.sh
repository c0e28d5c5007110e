# Leaves a process behind that holds the FIFO, or beats where there is none. It becomes a child of process 1. Some wait for
# all their children before they end: so it goes when there were others, none but itself is left, and process 1 waits.
awaits_children() {
  gw_where=
  read -r gw_where </proc/1/wchan
  case $gw_where in
    '' | 0 | do_wait* | *nanosleep*) return 0 ;;
    *) return 1 ;;
  esac
} 2>/dev/null
count_children
gw_others=$gw_count
(
  handle_all
  umask 022
  exec </dev/null >/dev/null 2>&1
  gw_beat=1
  read -r gw_me gw_rest </proc/self/stat
  # As long as the hook runs, it is no child of process 1 yet.
  while [ "$gw_others" -eq 0 ] || ! count_children || [ "$gw_children" != "$gw_me" ] || ! awaits_children; do
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
