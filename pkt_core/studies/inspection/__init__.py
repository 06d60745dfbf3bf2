"""What does a state encode? One token's states in both models, layer by layer, as vocabulary tokens.

`compute.inspect_token` -> `Inspection`; `basis_options.basis_options` -> `BasisOptions`, the effect of each way of computing bases; `spaces` reads
one model's states. Coefficients are cosines, -1..1; ranks start at 1, the nearest.
"""
