# The container's own folder in the shared volume, to which everybody else may look.
[ -d "$gw_folder" ] || (umask 022 && mkdir -p "$gw_folder")
