"""A transferred steering vector: where the teacher's states on the data lie from its states on general text, in student space.

The vector is a difference of means (data minus general text) at the matched site. An affine map takes a difference without
its bias, and the length is then set anew, as those do who move steering vectors between models of one family: the vector is
to the student's mean state on general text what it was to the teacher's.

    v_S = unit(carry(m_data) - carry(m_general)) * |m_data - m_general| / mean |h_T| * mean |h_S|

One vector holds no facts: it can only transfer that answers of this kind are expected. A cosine near 1 between carried and own
directions is no sign that steering works (Pythia, arXiv 2606.03280: about 0.97, and no effect), so recall stands beside it.

Not covered: vectors from contrasting prompts, adding the vector at every token (stitch.py solves for a change of weights).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pkt_core.activations.capture import Capture, forward_states, pad
from pkt_core.activations.collect import require_fit
from pkt_core.alignment.pairing import LayerPair
from pkt_core.errors import PlanError
from pkt_core.models.loading import LoadedModel
from pkt_core.models.sites import Site
from pkt_core.transfer.batch import Extraction
from pkt_core.transfer.readings import usable
from pkt_core.transfer.targets import Wanted, teacher_rows

BATCH = 32


@torch.no_grad()
def steering_vector(extraction: Extraction, pair: LayerPair) -> Float[Tensor, d_S]:
    """The vector to add to the student's states at its layer of the pair, float64. Raises PlanError where the two means coincide."""
    plan = extraction.plan
    on_data = on_examples(extraction, pair)
    general = on_texts(extraction.teacher, extraction.texts, Site(plan.part, pair.teacher))
    student_states = on_texts(extraction.student, extraction.texts, Site(plan.part, pair.student))
    data_mean, general_mean = on_data.mean(0), general.mean(0)
    carry = extraction.maps[pair.student]
    carried = (carry(data_mean[None].float()) - carry(general_mean[None].float()))[0].double()
    if not float(carried.norm()):
        raise PlanError(
            f"Teacher layer {pair.teacher} has the same mean on the data and on general text, so there is no steering direction to "
            "transfer. Choose another layer or other data."
        )
    share = (data_mean - general_mean).norm() / general.norm(dim=-1).mean()
    vector: Tensor = carried / carried.norm() * share * student_states.norm(dim=-1).mean()
    return vector


def on_examples(extraction: Extraction, pair: LayerPair) -> Float[Tensor, "n d_T"]:
    """The teacher's own states at the supervised positions of the data, float64."""
    plan, rows = extraction.plan, []
    wanted = Wanted(states=True, logits=False, by_rank=False, temperature=1.0, maps={}, shared=None)
    for start in range(0, len(extraction.encoded), BATCH):
        part = slice(start, start + BATCH)
        encoded, readings = extraction.encoded[part], extraction.readings[part]
        recorded = teacher_rows(extraction.teacher, encoded, readings, plan, [pair], wanted)
        for row, example, reading in zip(recorded, encoded, readings, strict=True):
            used = torch.tensor(usable(reading, example, plan.positions, "state"))
            rows.append(row[f"states.{pair.student}"][used].double())
    return torch.cat(rows)


def on_texts(loaded: LoadedModel, texts: tuple[str, ...], site: Site) -> Float[Tensor, "n d"]:
    """A model's states at every token of some texts but the first of each, which often is an outlier; float64 on the CPU."""
    require_fit(loaded, list(texts))
    states = []
    every = loaded.tokenizer(list(texts))["input_ids"]
    with Capture(loaded, [site]) as seen:
        for start in range(0, len(every), BATCH):
            batch = every[start : start + BATCH]
            mask = pad([[1] * len(ids) for ids in batch], 0)
            forward_states(loaded, pad(batch, loaded.tokenizer.pad_token_id), mask)
            mask[:, 0] = 0
            states.append(seen[site].double().cpu()[mask.bool()])
    return torch.cat(states)
