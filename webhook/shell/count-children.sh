# Sets gw_count to the number of process 1's children; fails if it is not known.
count_children() {
  gw_children='' gw_count=0
  read -r gw_children </proc/1/task/1/children || [ -r /proc/1/task/1/children ] || return
  for gw_child in $gw_children; do
    gw_count=$((gw_count + 1))
  done
} 2>/dev/null
