"""The words and the look of numbers, figures and terms, wherever they are shown."""
