"""Loading any Hugging Face decoder and finding its parts."""

from pkt_core.models.loading import LoadedModel, ModelRef, load
from pkt_core.models.sites import Site

__all__ = ["LoadedModel", "ModelRef", "Site", "load"]
