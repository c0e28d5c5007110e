"""What is shipped for the cluster: the manifests as kubectl renders them, the image, the page on the installation."""
