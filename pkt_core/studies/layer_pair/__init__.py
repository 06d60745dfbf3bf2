"""How does one layer pair agree? By pairs of prompts, and prompt by prompt.

`compute.closer_look` -> `CloserLook`: rank correlation of similarities and shared neighbours, each with an interval and a permutation null.
"""
