"""What the webhook costs: measured on this machine, beside other webhooks, and written down. `make bench` runs it."""
