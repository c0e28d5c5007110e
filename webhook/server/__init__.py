"""The webhook over HTTPS: reads admission reviews, asks the core, answers."""
