"""Cross-scale knowledge transfer between language models, through activations."""

__version__ = "0.1.0"
