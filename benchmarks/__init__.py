"""What the webhook costs, measured on this machine and compared with other webhooks: `make bench`."""
