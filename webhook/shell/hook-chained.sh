# The hook that the pod had before.
handle_all
"$@" 9>&-
gw_code=$?
