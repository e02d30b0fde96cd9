"""The API: over the real application, the real front door and the local GitHub."""
