"""The pure core: a pod goes in, a decision and its JSON Patch come out. No I/O, no clock, no global state."""
