"""From teacher space to student space: semantic bases, alignment maps, attribution, and which layers belong together.

`basis` makes a latent vector for each vocabulary token, `choice` names the ways of making them, `lens` reads a state through them;
`maps` holds every map as one `d_student x d_teacher` matrix, `model_maps` the training-free one of two loaded models;
`recomposition` measures how much of a state the bases carry; `attribution` scores teacher layers; `pairing` chooses which
student layer learns from which teacher layer.

Everything here is linear algebra on given tensors, in float32 or float64, with the direction teacher to student.

To add a map: a function in `maps.py` that returns an `AlignmentMap`, its kind in `studies/alignment_maps/compute.py` (and in
`transfer/plan.py` if a plan may name it), its control beside it, and a naive twin in `tests/reference_alignment.py`.
"""
