# SETTINGS   the number of the signal, and the pod's original grace period
#
# Waits until process 1 handles the signal: an earlier signal would be lost. A process that handles others but not this
# one has started, and may expect another signal to stop it: it gets five seconds. INT alone does not show that, because
# Python handles it from its first moment: such a process gets the original grace period.
gw_turn=0
until heeds 1 "${gw_settings%% *}"; do
  gw_turn=$((gw_turn + 1))
  case $gw_caught in
    *[!02]* | *2?*) [ "$gw_turn" -lt 50 ] || break ;;
    *2) [ "$gw_turn" -lt "${gw_settings#* }0" ] || break ;;
  esac
  # Some processes never handle it: after five seconds, they are looked at once a second.
  if [ "$gw_turn" -lt 50 ]; then
    nap
  else
    gw_turn=$((gw_turn + 9))
    sleep 1
  fi
done
