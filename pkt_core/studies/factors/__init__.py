"""What predicts transfer gain? Similarity before the transfer against the gain after, over transfers at many layer pairs.

`compute.sweep` lists the plans, `compute.answer` -> `Factors`: rank correlations with p-values from shuffles of whole layers.
"""
