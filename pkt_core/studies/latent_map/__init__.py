"""What do both latent spaces look like? One picture of both, a chain over layers or training, and which prompts moved.

`compute` -> `LatentMap`, `ChainMap`, `TurnoverTable`; `picture` and `chain` prepare the spaces. A picture is no evidence; turnover is counted in
the full spaces.
"""
