"""The webhook over HTTPS: reads admission reviews, calls the core, responds."""
