# The signal is sent from here where the kubelet would send another one, or at a worse moment: to a worker that forks a
# child for each message, and may drop the one that it is just fetching. One that has its child is past that; one without
# any for a second most likely has nothing to fetch. Where it is not allowed, the kubelet does it.
#
# Once to each process 1, told by its start: a kubelet that is restarted in the drain runs this hook again, and at a second
# signal RQ and others drop the message at hand.
read -r gw_stat </proc/1/stat
# shellcheck disable=SC2086 # Behind the name in parentheses stand fields.
set -- ${gw_stat##*) }
gw_sent=
[ ! -e "$gw_folder/sent" ] || read -r gw_sent <"$gw_folder/sent"
if [ -z "${20-}" ] || [ "$gw_sent" != "${20}" ]; then
  gw_turn=0
  while count_children && [ "$gw_count" -lt "${gw_settings#* }" ] && [ "$gw_turn" -lt 10 ]; do
    gw_turn=$((gw_turn + 1))
    nap
  done
  kill "-${gw_settings% *}" 1 || exit "$gw_code"
  echo "${20-}" >"$gw_folder/sent"
fi
