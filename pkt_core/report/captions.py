"""What to say under each figure: how to read it, and what would refute it."""

from __future__ import annotations

HEATMAP = (
    "Each cell compares one teacher layer with one student layer on the same prompts. `noise` on the colour bar is what the "
    "closest cell of a grid with shuffled prompts reaches 5 times in 100: a best cell no closer than that would refute any "
    "agreement. Hover gives the interval, and p for a cell picked from the grid, from its row, or named before looking."
)
MEASURES = (
    "The same activations by every measure computed so far; colours span each measure's own values, the frame marks its closest "
    "cell. Measures of global geometry (CKA, RSA, Procrustes) and of near neighbours often pick other layers: a pair of layers "
    "that only one of them likes is no safe ground for a transfer."
)
OUTLIERS = (
    "Left, the share of a layer's variance in its largest dimension (solid) and its largest three (dashed): 1 would mean that "
    "one number is all a similarity sees. Right, the length of the activation at position 0 over the median of the other "
    "positions: 1 is ordinary. If the grid changes much under another outlier rule or without position 0 (sidebar), trust neither alone."
)
RECOMPOSITION = (
    "Left and middle: how parallel a layer's activations are to their recomposition from the vocabulary's semantic bases. Read the "
    "distance between the solid line and the controls, not its height: as many random bases score high too. A solid line at or "
    "below the random one would refute that the vocabulary is a special frame for this layer. With the vocabulary permuted between "
    "decomposing and recomposing the cosine must fall to about 0. Right: the teacher's state recomposed on the student's bases, against the "
    "student's own state. A solid line inside the permuted band would refute that meaning crosses; what the band has above 0 is carried by "
    "the mean of all bases, whatever the words."
)
READING = (
    "Each cell is a token whose basis is near the layer's state; colour and number are the cosine of the two. The frame marks the chosen "
    "layers; hover gives the logit lens. The panel called meaningless is the control: the same map with each teacher token recomposed as "
    "some other student token. If the carried reading makes no more sense than that one, the map carries no meaning at this token."
)
TRAJECTORY = (
    "Above, the place of a token among all tokens of the vocabulary (1 is nearest); below, its coefficient, and in grey the nearest token of each "
    "layer by name. Dotted: the middle place, and the cosine that the nearest of as many random bases would have by chance. A grey line at that "
    "level says nothing by its names, and a followed token that stays near the middle place is not in the state."
)
DIFFERENCES = (
    "The tokens on which the teacher's state, carried into the student's space, and the student's own state differ most, at the chosen layers. "
    "Blue bars: more of it in the teacher; orange: more of it in the student. Grey crosses: the same tokens with the vocabulary permuted; dotted, the "
    "largest difference that this control shows on any token. Bars that end within the dotted lines are what a meaningless vector would show too."
)
OPTIONS = (
    "One row per way of making bases; teacher / student in one cell; bold is the one in use. Residual: largest error of pinv(W) W = I. Recomposition: mean "
    "over layers. Names the prediction: share of prompts where the last layer's nearest basis is the token the model itself predicts. Map cosine: carried "
    "teacher with student at the chosen layers, beside the mean and spread of the same with the vocabulary permuted. The paper leaves all three choices "
    "open; its literal reading is the first row. A choice whose map cosine lies within its control's spread carries nothing."
)
ATTRIBUTION = (
    "How much the answer's loss moves with each teacher layer (gradient times activation, whiskers are 95 % bootstrap "
    "intervals over examples). Lines show which student layer learns from which teacher layer; orange is the chosen pair, which the "
    "pairing may place on the nearest deeper layer instead of the highest bar. Overlapping whiskers mean that the choice of the "
    "highest bar is not supported by these examples."
)
AGAINST = (
    "Change by task (after less before) of this run and of its controls, with 95 % intervals; below, what is left of the run when a control is "
    "taken off, item by item, with McNemar's p corrected by Holm over all rows. A control that reaches as far as the run refutes that what it "
    "takes away did the work. One run each: how much another seed would differ is not in these intervals."
)
STACKS = (
    "Lines: which teacher layer teaches which student layer; grey by the method's own rule, orange once drawn by hand. Drag from "
    "one layer to a layer of the other stack, or press one and then the other; press a line to take it away. By keyboard: arrows "
    "move, Enter joins, Delete takes away. Bars, where the pair was compared: attribution in nats, whiskers 95 % intervals; where they overlap, "
    "these examples do not say which layer should teach."
)
LATENT = (
    "Each prompt appears twice: a circle for the teacher, mapped into the student's space, and a diamond for the student. "
    "Trust the colour by shared neighbours, which is computed in the full space, over distances on the page. A held-out cosine "
    "or R² no higher than that of its control, or shared neighbours at chance, would refute that the map aligns anything. "
    "Draw around points, or click one, to pick prompts."
)
CHAIN = (
    "The same prompts in each space, all panels on the same axes. Only who is near whom can be read, and of that only the share "
    "printed above each panel; distances between groups, their sizes and empty space mean little in a UMAP. Partners are pulled "
    "together with weight 0.01 where their neighbourhoods agree, so some likeness is drawn in: the null picture shows how much. "
    "Shared neighbours at chance, or a null picture as orderly between panels as this one, would refute that the spaces "
    "correspond. Draw around points, or click one, to pick prompts."
)
TURNOVER = (
    "Turnover is the share of a prompt's 10 nearest neighbours (full spaces, cosine) that are others in the second space. What "
    "ranks is turnover minus the median turnover of its neighbourhood, so a group that moves together stays at 0. q is the share "
    "of false alarms if this row and all above it were flagged; neighbours are not lost independently, so take it as a guide. No "
    "row beyond the noise of random pairings would mean that nobody stands out."
)
PICKED_TOKENS = (
    "What each model would say next after the whole prompt, with probabilities over its own vocabulary. JS is the Jensen-Shannon "
    "divergence over the tokens both have: 0 bits alike, 1 nothing in common."
)
PICKED_CELL = (
    "The chosen pair of layers by the picked prompts alone. Prompts picked from a map were not drawn at random: compare with the "
    "range of random choices of as many prompts, and call the group special only outside it."
)
MAPS = (
    "Each map was fitted on half of the prompts (a training-free one only its scale) and scored on the other half, token by token; "
    "whiskers are 95 % intervals over texts. The cross is the same map with its meaning removed: vocabulary permuted, or fitted "
    "to shuffled pairs. A map no better than its cross would refute that anything is carried; a high cosine with a stitched loss "
    "near `nothing passes` would show that what the student reads is not what the cosine sees."
)
STITCHING = (
    "The student reads the text, but from the student layer on it goes on from the teacher's mapped state instead of its own. Each "
    "cell is what that costs in bits per byte over the student alone; blue, below zero, would mean that the teacher's states "
    "serve the student better than its own. Both panels share one scale: cells as costly as the control carry nothing. Even a "
    "cheap stitch does not prove shared information: models of unrelated tasks can be stitched."
)
CHANGE = (
    "Similarity with the teacher before and after the run, on prompts that were not trained on, and the difference with a paired "
    "interval; framed cells moved at p < 0.05 corrected over the grid. Layers left of the dotted line lie below the trained one, cannot "
    "move, and show what nothing looks like. On the right, how far the student's layers moved from what they were (the diagonal is 1 where "
    "nothing changed). A student that moves from itself without nearing the teacher was changed, not taught."
)
TRAINING = "Left, the terms of the loss as they were added."
BEHAVIOUR = (
    "Share of items whose whole answer comes out right; whiskers are 95 % intervals (Wilson), the grey tick is the prior, "
    "which needs no knowledge of the single fact. An `after` whose whisker covers `before`, or the same gain under the "
    "permuted vocabulary, would refute the transfer."
)
COMPARISON = (
    "After minus before on the same items, in percentage points, whiskers are 95 % intervals of the paired difference. "
    "A gain right of zero beside a loss left of it is a trade, not a transfer. Whiskers across zero show no change."
)
FAMILY = (
    "One panel per task, one row per member; the large mark is the mean over seeds with its 95 % interval over items, small marks are "
    "single seeds, the blue line is the level of the first row. Compare along that line: a rival right of it does better on the "
    "same items. A control on the line, or right of it, would refute that what it takes away did the work, and so would seeds that "
    "scatter wider than the distance between two rows. Orange dots: the student before; grey dashes: the prior."
)
FACTORS = (
    "One row per factor, taken from the student as it was before, on prompts that nothing was trained on. Right of 0: the more alike two "
    "layers were, the more was gained between them. Whiskers are 95 % intervals (bootstrap over pairs of layers), the grey bar is what "
    "95 of 100 shuffles of whole layers reach: a mark inside it is chance. A measure that lies no further out than depth alone (grey "
    "squares) would refute that likeness adds anything to knowing how deep the layers are."
)
FACTOR_POINTS = (
    "A mark is a pair of layers, the mean over its seeds; small marks are single seeds. A cloud without slope, or a slope that one mark "
    "makes, would refute the correlation. Click a mark for its run."
)
FACTOR_BESIDE = (
    "Left, what a transfer between the two layers gained (empty: not tried); right, the factor there before. The two pictures would be "
    "alike in shape if this factor eased the transfer; a left picture made of stripes says that one side's depth decides instead."
)
BENCHMARKS = (
    "Share of items answered right by each task's first metric, as lm-evaluation-harness scores it; whiskers are 95 % intervals "
    "(Wilson). Read green against orange in each row: the transfer helped where green is right of orange by more than the items "
    "could show by luck (column p). A rival or control that stands where green stands would refute that this transfer did it, and "
    "so would further seeds that scatter wider than the distance from orange to green."
)
BENCHMARK_TABLE = (
    "Changes are on the same items, in points, with a paired bootstrap; p is McNemar's exact test, corrected by Holm's rule over all "
    "changes shown. `Seen from` is the smallest change that this test finds four times in five on so many items: below it, no "
    "finding is no evidence of no change. Gain over the student before and distance to the teacher are both shown, as coming "
    "nearer to the teacher and getting better are two things."
)
BENCHMARK_PROTOCOL = (
    "Two scores may be compared only where all of this is equal; digests name the template (prompt, filters, metrics) and the items. "
    "The command gives the same counts. For code tasks the harness's own judge runs generated code without a sandbox; ours does not."
)
GENERAL = (
    "Bits per byte on general text that no model was trained on (lower is better), and how near the student's next-token "
    "distribution is to the teacher's: KL (lower is nearer), and the share of tokens (0..1) where both find the same one most "
    "likely. In brackets, 95 % bootstrap intervals over texts. Bits per byte that rise are the price of the transfer."
)
ALIGNMENT_CHANGE = (
    "The trained layer on prompts outside the training data. The cosine is what the layer term raises; a rise that the permuted "
    "vocabulary shows as well is not about meaning. CKA was not trained."
)
GENERATIONS = "Greedy continuations of held-out prompts, chosen by position in the task and not by outcome."
PLAN = "Everything that could change the result. Layers are counted from 0."
VERSIONS = "The same plan on the same versions and kind of machine gives the same weights."
