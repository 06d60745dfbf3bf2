"""Both models' activations in one two-dimensional picture, with its fidelity.

`maps` puts teacher and student states of the same prompts into one picture (PCA or UMAP) with its trust score; `aligned` draws a chain of
spaces in frames that belong together (AlignedUMAP); `turnover` finds the prompts that changed their neighbours more than those around them.

A *projection* is a picture and no evidence: neighbours are counted in the full spaces. Coordinates have no unit; n prompts give `n x 2`.
umap-learn is imported inside functions, as its import takes seconds.

To add a projection: its name and branch in `maps.py`, the same in `studies/latent_map/compute.py`, and a test that two
identical spaces fall on each other.
"""
