"""Kills, power cuts, damaged files, odd visitors and races against the real project: `python -m tests.faults`."""
