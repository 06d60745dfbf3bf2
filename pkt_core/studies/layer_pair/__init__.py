"""How does one pair of layers agree? Pair of prompts by pair of prompts, and prompt by prompt.

`compute.closer_look` -> `CloserLook`: rank correlation of similarities and shared neighbours, each with an interval and a permutation null.
"""
