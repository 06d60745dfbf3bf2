"""What to say under figures of single tokens: how to read them, and what would refute them."""

from __future__ import annotations

RANKED = (
    "Sentences by KL(before ‖ after) per token, bits; 0 is the same. Bits: what the student needs per token, after − before, below zero is better. "
    "Teacher: KL(teacher ‖ student), after − before, below zero is nearer. A change that is large where neither is below zero is only different. Click a row to read it."
)
SENTENCE = (
    "Each token is coloured by how the prediction of it changed, given all tokens before it; grey tokens did not change. The line marks the answer. "
    "Click a token to see what each model would have said. A transfer that taught facts should colour answers; colour everywhere else is what it cost."
)
NEXT = (
    "The most likely tokens at the framed place, each model over its own vocabulary; the outlined bar is the token that came, with its rank where it is not among "
    "them. If `after` differs from `before` but not towards the teacher, the student was changed, not taught."
)
LAYERS = (
    "The nearest vocabulary token of each layer's state at the token before the framed one, which is where the framed one is decided; cosines with the basis. "
    "Rank: place of the token that came among all tokens, 1 is nearest. If no trained layer or one above it changed, the change does not sit at this token."
)
SPANS = (
    "Teacher and student cut text differently, so they are compared over pieces that both cut alike, in bits for the whole piece; positions and token ids are "
    "never matched."
)
RELIABILITY = (
    "Next tokens of these texts in ten bins of equal number by confidence; whiskers are 95 % intervals (Wilson), neighbouring tokens of a text are not independent. Below "
    "the dashed line a model is surer than it is right. ECE is the mean distance from the line, over bins of equal number or width; Brier also rewards telling right from wrong."
)
