"""What to say under tables and figures of what changed: how to read them, and what would refute them."""

from __future__ import annotations

CHANGES = (
    "Gain: after − before on the same items, percentage points, with a paired 95 % interval. Gap: teacher − after. p: McNemar's exact test; Holm corrects it over the tasks "
    "of this run. `n can show`: the smallest change that so many items find four times in five, where as many answers turn as turned here; a smaller "
    "gain that is not significant is not evidence of none."
)
WORSE = (
    "Tasks and general text alike, worst first: the loss as a share of what was there before, or, where that is more than doubled, how many times as much it is now. Beyond chance: for tasks p (Holm) below 0.05, for general text 95 % intervals "
    "that do not touch. A transfer without a row here is suspicious until its side effects were measured on more text."
)
SEEDS = "One point per seed of the same plan. Whiskers over items say nothing of another seed; if the points of one task lie on both sides of `before`, the gain is luck."
ITEMS_RELIABILITY = (
    "Items in ten bins of equal number by confidence; whiskers are 95 % intervals (Wilson). Confidence is the probability of what the model says itself: of its choice among the "
    "choices, or of as many tokens as the expected answer has. Below the dashed line a model is surer than it is right."
)
OWN_TASK = (
    "Share of items right by each scoring; whiskers are 95 % intervals (Wilson), the grey tick is what no knowledge gives. Log-likelihood as it stands favours short choices, "
    "per byte long ones: a change that only one of them shows is one of length. An `after` whose whisker covers `before` shows no change."
)
