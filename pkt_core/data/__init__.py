"""Prompts and examples: bundled, from files, and from Hugging Face datasets."""
