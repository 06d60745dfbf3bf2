"""Runs: folders that explain themselves, their status, their queue, the student that came out."""
