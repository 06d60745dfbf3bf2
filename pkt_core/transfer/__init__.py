"""Changing chosen student layers towards aligned teacher activations, and its rivals under the same plan.

`plan` is the intention, `check` and `requirements` what must hold before anything heavy, `teacher_pass` and `targets` what the teacher
gives once, `fit_maps` and `readings` how it is mapped to the student's tokens, `trainable`, `frozen_prefix`, `objectives`, `train` and
`training` the student, `checkpoint` and `export` what is left on disk, `controls` ablations of the same transfer; `methods`
has one file per method.

The teacher is read-only and freed before the student trains. Losses are means over supervised positions, lower is closer.

Called as a function it is `pkt_core.transfer(plan)`.
"""

import sys

from pkt_core.base.rooms import CallableRoom

sys.modules[__name__].__class__ = CallableRoom
