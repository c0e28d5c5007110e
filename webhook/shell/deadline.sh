# True when the grace period that the pod came with is over: at gw_until.
is_late() {
  look_at_clock
  [ "$gw_now" -gt "$gw_until" ]
}
