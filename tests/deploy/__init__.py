"""What is installed in a cluster: the manifests as kubectl renders them, the image, and the installation page."""
