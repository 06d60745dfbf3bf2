"""Ways of computing semantic bases that the paper leaves open, each measured on the same prompts.

basis_options  gain, final norm and ridge, one by one  -> BasisOptions  (stored)
"""

from __future__ import annotations

import time

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from pkt_core.activations.collect import CAPTURE_VERSION, collect
from pkt_core.alignment.choice import RIDGES, BasisChoice
from pkt_core.alignment.lens import SemanticLens, coefficients, semantic_lens
from pkt_core.alignment.maps import permuted_vocabulary_map, semantic_map
from pkt_core.alignment.model_maps import match
from pkt_core.alignment.recomposition import DRAWS, frame, through
from pkt_core.base.arrays import rounded
from pkt_core.base.fingerprint import fingerprint
from pkt_core.base.progress import Progress, silent
from pkt_core.base.store import memo
from pkt_core.data.prompts import PromptSet, prompt_set
from pkt_core.errors import ModelError
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import LoadedModel
from pkt_core.models.norms import final_norm
from pkt_core.models.pool import Pool
from pkt_core.models.sites import Site
from pkt_core.models.vocabulary import MINIMUM_SHARE
from pkt_core.studies.comparison.states import block_sites
from pkt_core.studies.inspection.compute import Wanted, wanted_models
from pkt_core.studies.inspection.record import BasisOptions, HeadFacts, Option, SideOption
from pkt_core.studies.inspection.spaces import Vocabulary

OPTIONS_VERSION = 1


def basis_options(
    pair: Pair,
    *,
    prompts: str | PromptSet | None = None,
    n_prompts: int = 128,
    part: str = "block_out",
    seed: int = 0,
    progress: Progress = silent,
    pool: Pool | None = None,
) -> BasisOptions:
    """Effect of gain folded or not, final norm applied or not, ridge 0, 1e-6 and 1e-3 on bases, map and predictions.

    The map is not fitted, so every prompt is held out. Raises LayerNotFound for a site the models lack.
    """
    texts = prompt_set(prompts or pair.prompts).sample(n_prompts, seed)
    wanted = wanted_models(pair, None)
    recipe = {"part": part, "seed": seed}
    named = [list(key) for key, _ in wanted]
    key = fingerprint(models=named, texts=texts.digest, recipe=recipe, versions=[OPTIONS_VERSION, CAPTURE_VERSION])
    return memo(
        "basis-options",
        key,
        BasisOptions,
        lambda: measured_options(pool or Pool(), wanted, texts, part, seed, progress),
    )


def head_facts(loaded: LoadedModel, rank: int) -> HeadFacts:
    norm = final_norm(loaded)
    return HeadFacts(
        name=loaded.name,
        n_layers=loaded.n_layers,
        tied=loaded.layout.tied,
        norm=norm.kind,
        norm_bias=bool((norm.bias != 0).any()),
        softcap=loaded.layout.softcap,
        rank=rank,
        d_model=loaded.d_model,
        vocabulary=loaded.layout.head.weight.shape[0],
    )


class Measured:
    """One model's states at the last token of every prompt, and its predictions there."""

    def __init__(self, loaded: LoadedModel, texts: PromptSet, part: str):
        self.loaded, self.norm = loaded, final_norm(loaded)
        self.states = collect(loaded, texts.texts, block_sites(loaded, part), "last")
        last = collect(loaded, texts.texts, [Site("block_out", loaded.n_layers - 1)], "last")[0]
        self.nameable = Vocabulary.of(loaded).nameable
        with torch.no_grad():
            logits = loaded.layout.logits(last.to(loaded.device)).float().cpu()
        self.last, self.predicted = last, logits.masked_fill(~self.nameable, -torch.inf).argmax(-1)

    def effect(self, lens: SemanticLens, composed: Tensor) -> SideOption:
        """Effect of a choice on this model; `composed` is the frame of its bases."""
        read = coefficients(lens.prepare(self.last), lens.basis.vectors).masked_fill(~self.nameable, -torch.inf)
        return SideOption(
            condition_number=lens.basis.condition_number,
            solved_condition_number=lens.basis.solved_condition_number,
            residual=lens.basis.residual,
            recomposition=float(through(lens.prepare(self.states), composed).mean()),
            top1=float((read.argmax(-1) == self.predicted).float().mean()),
        )


def meeting(carried: Float[Tensor, "L_T n d"], own: Float[Tensor, "L_S n d"]) -> Float[Tensor, "L_T L_S"]:
    """Mean cosine over prompts of every layer with every layer."""
    return torch.einsum("tnd,snd->ts", normalize(carried, dim=-1), normalize(own, dim=-1)) / own.shape[1]


def measured_options(
    pool: Pool,
    wanted: Wanted,
    texts: PromptSet,
    part: str,
    seed: int,
    progress: Progress,
) -> BasisOptions:
    """All combinations of gain, norm and ridge; bases are computed once per gain and ridge."""
    progress("Loading the models", 0.0)
    teacher, student = pool.open(wanted)
    began = time.monotonic()
    progress("Reading the prompts", 0.1)
    sides = {"teacher": Measured(teacher, texts, part), "student": Measured(student, texts, part)}
    matched = match(teacher, student)
    options, rank = [], {"teacher": 0, "student": 0}
    for i, (gain, ridge) in enumerate((gain, ridge) for gain in (False, True) for ridge in RIDGES):
        progress(f"Computing bases, {i + 1} of {2 * len(RIDGES)}", 0.2 + 0.8 * i / (2 * len(RIDGES)))
        try:
            lenses = {
                who: semantic_lens(side.loaded, BasisChoice(gain, False, ridge), side.norm)
                for who, side in sides.items()
            }
        except ModelError as error:
            options += [Option.impossible(BasisChoice(gain, norm, ridge), str(error)) for norm in (False, True)]
            continue
        if not gain:
            rank = {who: lens.basis.rank for who, lens in lenses.items()}
        frames = {who: frame(lens.basis.vectors) for who, lens in lenses.items()}
        given = (lenses["teacher"].basis, lenses["student"].basis, matched.teacher_ids, matched.student_ids)
        generator = torch.Generator().manual_seed(seed)
        shared = matched.share >= MINIMUM_SHARE
        maps = (
            [semantic_map(*given), *(permuted_vocabulary_map(*given, generator) for _ in range(DRAWS))]
            if shared
            else []
        )
        for norm in (False, True):
            chosen = {
                who: SemanticLens(lens.basis, lens.norm, BasisChoice(gain, norm, ridge)) for who, lens in lenses.items()
            }
            x, y = (chosen[who].prepare(side.states) for who, side in sides.items())
            cosines = torch.stack([meeting(one(x), y) for one in maps]) if shared else None
            options.append(
                Option(
                    gain=gain,
                    norm=norm,
                    ridge=ridge,
                    teacher=sides["teacher"].effect(chosen["teacher"], frames["teacher"]),
                    student=sides["student"].effect(chosen["student"], frames["student"]),
                    cosine=None if cosines is None else rounded(cosines[0]),
                    control=None if cosines is None else rounded(cosines[1:].mean(0)),
                    control_spread=None if cosines is None else rounded(cosines[1:].std(0)),
                    refused=None,
                )
            )
    order = sorted(options, key=lambda option: (option.gain, option.norm, option.ridge))
    return BasisOptions(
        teacher=head_facts(teacher, rank["teacher"]),
        student=head_facts(student, rank["student"]),
        options=order,
        part=part,
        n=len(texts),
        draws=DRAWS,
        seconds=time.monotonic() - began,
    )
