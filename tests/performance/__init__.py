"""That the webhook stays as fast as it is: by counts, never by the clock."""
