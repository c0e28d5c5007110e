"""The webhook's certificates: the CA and its rotation, the server's certificate, and requests to the API server."""
