"""Mapping states from teacher to student."""
