"""Activations: what is inside a model while it reads a text."""

from pkt_core.activations.capture import Capture
from pkt_core.activations.collect import collect, stream

__all__ = ["Capture", "collect", "stream"]
