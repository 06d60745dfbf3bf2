"""A package that can be called, for the few names that are both a function of the public API and a package.

`import pkt_core.transfer.plan` sets the attribute `transfer` of `pkt_core` to the folder, whatever stood there before; so
`pkt_core.transfer(plan)` works in any order of imports only if the folder itself can be called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any


class CallableRoom(ModuleType):
    """The class of such a package: a call goes to the function of the same name in `pkt_core.api`, found only then."""

    def __call__(self, *args: Any, **settings: Any) -> Any:
        return _function(self)(*args, **settings)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(_function(self))

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        room = self.__dict__.get("__doc__") or ""
        return f"{inspect.getdoc(_function(self))}\n\nThe package of this name: {room}"


def _function(room: ModuleType) -> Callable[..., Any]:
    """By name, because the API stands above every room."""
    function: Callable[..., Any] = getattr(import_module("pkt_core.api"), room.__name__.rpartition(".")[2])
    return function
