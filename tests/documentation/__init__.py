"""The documents: what of them is generated, and that what they say is true."""
