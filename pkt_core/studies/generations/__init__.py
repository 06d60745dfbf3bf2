"""What do the models generate? After the same prompts, greedily or with common random numbers, and after picked ones.

`compute.writing` -> `Writing`, a run's three models; `picked` -> next tokens, continuations and one layer pair for picked prompts.
"""
