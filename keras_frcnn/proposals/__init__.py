"""Object proposals: selective search, the cache that keeps them, and imports of saved ones."""
