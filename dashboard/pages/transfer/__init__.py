"""Run a transfer."""
