"""What do the models write? After the same prompts, greedily or with common random numbers, and after picked ones.

`compute.writing` -> `Writing`, a run's three models; `picked` -> next tokens, continuations and one pair of layers for a few picked prompts.
"""
