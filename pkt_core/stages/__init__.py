"""The stages of the pipeline, one function each: models and data in, a record out. What a stage means is in the module it
calls; here is only which modules it joins."""

from pkt_core.models.loading import release
from pkt_core.stages.carries import carries
from pkt_core.stages.change import alignment_change, behaviour_change, require_measurable, three_models
from pkt_core.stages.comparison import attribution, pair_facts, pairing, readable_attribution, recomposition
from pkt_core.stages.grids import measured_grid, needs_models, reading, require_measure
from pkt_core.stages.inspection import Side, Vocabulary, crossing, crossing_maps, follow, reader, see
from pkt_core.stages.moved import grid_change
from pkt_core.stages.options import basis_options
from pkt_core.stages.picture import latent_map, map_and_control
from pkt_core.stages.recipe import Recipe
from pkt_core.stages.room import needs
from pkt_core.stages.shared import alignment_map, head_of, match, pair_key, prompt_set, versions
from pkt_core.stages.states import block_sites, outlier_facts, read_both
from pkt_core.stages.targets import as_planned, record, require_plan, targets
from pkt_core.stages.teaching import missing, student_that_trains, trainable_ref
from pkt_core.stages.training import export, finished_training, train
from pkt_core.stages.translation import KINDS, maps_side_by_side, require_kind, stitched_grid

__all__ = [
    "KINDS",
    "Recipe",
    "Side",
    "Vocabulary",
    "alignment_change",
    "alignment_map",
    "as_planned",
    "attribution",
    "basis_options",
    "behaviour_change",
    "block_sites",
    "carries",
    "crossing",
    "crossing_maps",
    "export",
    "finished_training",
    "follow",
    "grid_change",
    "head_of",
    "latent_map",
    "map_and_control",
    "maps_side_by_side",
    "match",
    "measured_grid",
    "missing",
    "needs",
    "needs_models",
    "outlier_facts",
    "pair_facts",
    "pair_key",
    "pairing",
    "prompt_set",
    "read_both",
    "readable_attribution",
    "reader",
    "reading",
    "recomposition",
    "record",
    "release",
    "require_kind",
    "require_measurable",
    "require_measure",
    "require_plan",
    "see",
    "stitched_grid",
    "student_that_trains",
    "targets",
    "three_models",
    "train",
    "trainable_ref",
    "versions",
]
