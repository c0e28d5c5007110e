# SETTINGS   the number of the signal, and the grace period that the pod came with
#
# Waits until process 1 heeds the signal: before that it would be lost. Whoever heeds others, but not this one, has started,
# and may be meant to be stopped by another one; and nobody takes more than ten minutes to start.
gw_turn=0
until heeds 1 "${gw_settings%% *}"; do
  gw_turn=$((gw_turn + 1))
  case $gw_caught in
    *[!0]*) [ "$gw_turn" -lt 50 ] || break ;;
  esac
  [ "$gw_turn" -lt 640 ] || break
  if [ "$gw_turn" -lt 50 ]; then nap; else sleep 1; fi
done
