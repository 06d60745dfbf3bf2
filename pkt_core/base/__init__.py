"""What everything stands on: atomic files, fingerprints, the store of results, progress, the hub."""
