"""Cross-scale knowledge transfer between language models, through activations.

    import pkt_core as pkt
    pair = pkt.pair("demo")
    comparison = pkt.compare(pair)

The functions are in `pkt_core.api`; nothing heavy is imported before one of them is called.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_ROOMS = ("runs", "similarity", "transfer")
"""Packages that are functions of the API too (`base/rooms.py`)."""
__all__ = [
    "closer_look",
    "compare",
    "evaluate",
    "figures",
    "latent_map",
    "maps",
    "pair",
    "plan",
    "runs",
    "similarity",
    "transfer",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"pkt_core.{name}")
    if name == "figures":
        return import_module("pkt_core.api.figures")
    if name in __all__:
        return getattr(import_module("pkt_core.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
