"""The protocol in the pod: the shell scripts, run as a pod carries them."""
