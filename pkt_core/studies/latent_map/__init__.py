"""What do both latent spaces look like? One plot of both, a chain over layers or training, and neighbour turnover.

`compute` -> `LatentMap`, `ChainMap`, `TurnoverTable`; `picture` and `chain` prepare the spaces. A plot is no evidence; turnover is computed in
the full spaces.
"""
