"""The image, built by buildah, and run."""
