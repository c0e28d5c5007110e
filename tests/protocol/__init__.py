"""The protocol in the pod: the shell scripts, run in the form in which a pod contains them."""
