"""Runs an ASGI application as the Enopax server. Knows nothing of what the application does."""
