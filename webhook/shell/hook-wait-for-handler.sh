# SETTINGS   the number of the signal, and the pod's original grace period
#
# Waits until process 1 handles the signal: an earlier signal would be lost. A process that handles other signals but
# not this one has started, and may expect another signal to stop it. After ten minutes, give up.
gw_turn=0
until heeds 1 "${gw_settings%% *}"; do
  gw_turn=$((gw_turn + 1))
  [ "$gw_turn" -lt 640 ] || break
  if [ "$gw_turn" -lt 50 ]; then
    nap
  else
    case $gw_caught in *[!0]*) break ;; esac
    sleep 1
  fi
done
