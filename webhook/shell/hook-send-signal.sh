# Sends the signal if the kubelet would send a different one, or at a bad moment: to a worker that forks a child for
# each message, and may drop the message that it is just fetching. A worker with a child is past that; one without any
# for a second most likely has nothing to fetch. Before process 1 handles the signal, it would be lost for good. If
# sending is not permitted, the kubelet's signal follows.
#
# Once for each process 1, identified by its start time: a kubelet that restarts during the drain runs this hook again,
# and after a second signal, RQ and others drop the current message.
read -r gw_stat </proc/1/stat
# shellcheck disable=SC2086 # Behind the name in parentheses stand fields.
set -- ${gw_stat##*) }
gw_sent=
[ ! -e "$gw_folder/sent" ] || read -r gw_sent <"$gw_folder/sent"
if [ -z "${20-}" ] || [ "$gw_sent" != "${20}" ]; then
  until heeds 1 "${gw_settings% *}"; do
    nap
  done
  gw_turn=0
  while count_children && [ "$gw_count" -lt "${gw_settings#* }" ] && [ "$gw_turn" -lt 10 ]; do
    gw_turn=$((gw_turn + 1))
    nap
  done
  kill "-${gw_settings% *}" 1 || exit "$gw_code"
  echo "${20-}" >"$gw_folder/sent"
fi
