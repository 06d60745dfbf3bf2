"""Where did predictions change? Token by token, the student before and after a run beside the teacher.

`compute.token_change` -> `TokenChange`: surprisal and entropy in bits, divergences in bits, ranks from 1, with intervals over texts.
"""
