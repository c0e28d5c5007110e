"""What a release publishes, made from a checkout: notes, chart and manifests that name one image by its digest.

The workflow only calls this and publishes the result; so all but the publishing is tried by tests/release.
"""
