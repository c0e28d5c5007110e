# True when the pod's original grace period is over: at gw_until.
is_late() {
  look_at_clock
  [ "$gw_now" -gt "$gw_until" ]
}
