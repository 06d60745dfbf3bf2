"""Behaviour of a model, as numbers with n and an interval: recall, bits per byte, agreement with the teacher, generations.

`behaviour` measures one model; `divergence` and `tokens` compare two models' next-token distributions; `choices` and `calibration` are
about multiple choice and confidence; `generate` continues prompts; `stitching` gives the student a teacher's state; `statistics` holds
intervals and paired tests, `tasks` and `power` corrections over several tests and detectable effects; `ease` correlates gain with
similarity over transfers.

Rates and shares are 0..1, bits are bits; a change is after minus before, on the same items; intervals are 95 %, over units that
are independent.

To add a measure of behaviour: a pure function on given outputs, the record of its result with its unit and direction, and a test
against a naive twin or a hand-computed value.
"""
