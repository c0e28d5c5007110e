# The signal is sent from here where the kubelet would send another one, or at a worse moment: to a worker that forks a
# child for each message, and may drop the one that it is just fetching. One that has its child is past that; one without
# any for a second most likely has nothing to fetch. Where it is not allowed, the kubelet does it.
gw_turn=0
while count_children && [ "$gw_count" -lt "${gw_settings#* }" ] && [ "$gw_turn" -lt 10 ]; do
  gw_turn=$((gw_turn + 1))
  nap
done
kill "-${gw_settings% *}" 1 || exit "$gw_code"
