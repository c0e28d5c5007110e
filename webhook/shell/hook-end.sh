exit "$gw_code"
