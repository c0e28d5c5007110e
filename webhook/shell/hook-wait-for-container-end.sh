# Waits until the container, and with it this process, ends, so that the kubelet sends no signal. Nothing writes to the
# FIFO.
handle_all
while :; do
  read -r gw_rest <&9 || sleep 5
done 2>/dev/null
