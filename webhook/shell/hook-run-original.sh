# The container's own hook.
handle_all
"$@" 9>&-
gw_code=$?
