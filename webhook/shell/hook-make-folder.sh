# The container's folder in the shared volume, readable for all.
[ -d "$gw_folder" ] || (umask 022 && mkdir -p "$gw_folder")
