"""The stages of the pipeline, one function each: models and data in, a record out. What a stage means is in the module it
calls; here is only which modules it joins."""

from pkt_core.stages.change import alignment_change, behaviour_change, three_models
from pkt_core.stages.comparison import attribution, block_sites, pair_facts, pairing, recomposition, similarity_grid
from pkt_core.stages.picture import latent_map, map_and_control
from pkt_core.stages.shared import alignment_map, head_of, match, pair_key, prompt_set, release, versions
from pkt_core.stages.teaching import Probe, chosen_layers, event, targets, taught, trainable_ref

__all__ = [
    "Probe",
    "alignment_change",
    "alignment_map",
    "attribution",
    "behaviour_change",
    "block_sites",
    "chosen_layers",
    "event",
    "head_of",
    "latent_map",
    "map_and_control",
    "match",
    "pair_facts",
    "pair_key",
    "pairing",
    "prompt_set",
    "recomposition",
    "release",
    "similarity_grid",
    "targets",
    "taught",
    "three_models",
    "trainable_ref",
    "versions",
]
