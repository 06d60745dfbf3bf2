"""Where do the layers agree? The grid of teacher by student layers, vocabularies, recomposition and attribution of one pair.

`compute.compare` and `compute.similarity` -> `Comparison` and its grid; `change` -> the grid before and after a run; `recipe` holds
the settings. Other studies may import this one.
"""
