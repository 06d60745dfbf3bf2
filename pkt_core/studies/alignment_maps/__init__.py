"""Which map takes a teacher state into the student? Fitted and training-free maps on held-out text, and stitching.

`compute.alignment_maps` -> `MapComparison` at one layer pair; `compute.stitching` -> `StitchedGrid`, bits per byte with the teacher's
state in the student's layer. Each map has a control: the same map with its meaning removed.
"""
