"""What the larger methods compute, in plain arguments: which neurons and parameters they choose, what they solve for.

A method's record, settings and loss are one file in `transfer/methods/`; maths that needs torch to be defined at all
(a network, hooks, moments) lies here and is imported when the method is carried out.
"""
