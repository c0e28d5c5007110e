# Sets gw_now to the tenths of a second since the node started: the same clock in all containers, read without a
# process.
look_at_clock() {
  gw_now=00
  read -r gw_now gw_rest </proc/uptime
  gw_now=${gw_now%?}
  gw_now=${gw_now%.*}${gw_now#*.}
} 2>/dev/null
nap() {
  sleep 0.1 2>/dev/null || sleep 1
}
