"""Compare methods."""
