"""Changing chosen student layers towards aligned teacher activations, and its rivals under the same plan."""
