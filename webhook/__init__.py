"""graceful-worker: lets queue workers finish their message before their pod ends."""

__version__ = "0.1.0"
