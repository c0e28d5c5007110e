# Until the container ends, and this process with it, so that the kubelet sends nothing. Nobody writes to the FIFO.
handle_all
while :; do
  read -r gw_rest <&9 || sleep 5
done 2>/dev/null
