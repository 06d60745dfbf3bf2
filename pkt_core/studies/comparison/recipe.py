"""How activations are read and compared: everything except models and texts that can change a similarity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pkt_core.activations.collect import CAPTURE_VERSION
from pkt_core.activations.pooling import Pooling
from pkt_core.base.fingerprint import fingerprint
from pkt_core.data.prompts import PromptSet
from pkt_core.errors import PlanError
from pkt_core.models.catalog import Pair
from pkt_core.models.loading import model_digest
from pkt_core.similarity.outliers import Rule


class Recipe(BaseModel):
    """Settings that are stored with every number that depends on them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_prompts: int = Field(512, ge=1)
    """At most this many prompts, sampled with the seed."""
    pooling: Pooling = "mean"
    """What one sample is: a prompt's mean, its last token, or several of its words."""
    part: Literal["block_out", "block_delta", "attn_out", "mlp_out"] = "block_out"
    """Which activation of a layer."""
    outliers: Rule = "none"
    """Treatment of outlier dimensions."""
    skip_first: bool = False
    """Whether position 0, where activations can be massive, is left out."""
    permutations: int = Field(200, ge=20)
    """Draws of the null."""
    seed: int = Field(0, ge=0)

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Recipe:
        """A recipe from settings by name. Raises PlanError where they are invalid."""
        try:
            return cls.model_validate(dict(settings))
        except ValidationError as error:
            first = error.errors()[0]
            raise PlanError(f"{first['loc'][0]}: got {first['input']!r}; {first['msg']}.") from error


def pair_key(pair: Pair, texts: PromptSet, recipe: Mapping[str, object], version: int) -> str:
    """Store key of a result: everything that can change it."""
    if texts.repeats:  # they change no number, but their count is part of the result
        recipe = {**recipe, "repeats": texts.repeats}
    held = [(model_digest(ref), ref.dtype, ref.device) for ref in (pair.teacher, pair.student)]
    return fingerprint(
        models=[list(h) for h in held],
        texts=texts.digest,
        labels=pair.examples,
        recipe=recipe,
        versions=[version, CAPTURE_VERSION],
    )
