"""What to say under a closer look at one pair of layers: how to read it, and what would refute it."""

from __future__ import annotations

SCATTER = (
    "A point is a pair of prompts: to the right, the student's layer finds the two alike; up, the teacher's layer does (cosines of centred "
    "states). CKA and RSA sum this picture up. The line is the median of each tenth. A line without slope, or a rank correlation no "
    "higher than with shuffled prompts, would refute that the two layers see the same likenesses. Click a point to pick its two prompts."
)
OVERLAP = (
    "Share of each prompt's 10 nearest prompts that both layers have, worst first; select rows to pick them for every page. Low shares "
    "are where the layers disagree, unless the prompt's neighbours are all about equally near. A whole table near chance would refute "
    "that the two layers see the same neighbourhoods."
)
BESIDE = (
    "The same pairs of prompts on the same axes. Intervals leave out tenths of the prompts, the same tenths in both, so that of the "
    "difference is paired. A difference whose interval holds 0 would refute that one pair of layers agrees better; two pairs picked because they look "
    "different always differ a little more than their intervals say."
)
DIFFERENT = (
    "Prompts by how much their share of common neighbours differs between the two pairs of layers. The top rows are the largest of many, "
    "and a share of 10 neighbours moves in steps of 10 points: read them, do not count them."
)
PINNED = " The dashed frame is the pinned pair of layers, which the closer look sets beside the chosen one."
WORDS = " With pooling over words a prompt is the mean of its words here."
