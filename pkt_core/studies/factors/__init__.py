"""What predicts transfer gain? Similarity before the transfer against the gain after, over transfers at many layer pairs.

`compute.sweep` lists the plans, `compute.answer` -> `Factors`: correlations beyond depth with p-values from random rotations of whole layers.
"""
