"""The screen on top of the engine: pages choose, call the pipeline and show."""
