"""Custom activation matrices, without any model: arrays, nested lists, or a folder with one file a layer.

A folder holds `.npy` files (no pickle) or `.safetensors` files of one tensor each, every one `samples x width`, taken in natural
order: layer 2 comes before layer 10.

Not covered: what a measure requires of them (measures.py).
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor

from pkt_core.base.files import read_regular
from pkt_core.errors import MeasureError, PathError
from pkt_core.similarity.measures import as_float64

KINDS = (".npy", ".safetensors")
MOST_BYTES = 2**33
"""Of one layer's file that are read."""
WANTED = "expected layers x samples x width, the same samples in every layer"


def activation_layers(given: object, side: str) -> Float[Tensor, "L n d"]:
    """Activations `[layer, sample, width]` of one side, as float32 or float64 on the CPU.

    given: a torch tensor or NumPy array of three dimensions, a list of matrices, nested lists, or a folder of files.
    side: names them in messages, such as `first`.
    Raises MeasureError where they are no such table of finite real numbers, PathError where a file cannot be read.
    """
    if isinstance(given, str | Path):
        layers = from_folder(Path(given).expanduser())
    else:
        layers = [matrix(one, side) for one in split(given, side)]
    shapes = [tuple(layer.shape) for layer in layers]
    if not layers or any(len(shape) != 2 for shape in shapes):
        raise MeasureError(f"The {side} activations have layers of shape {shapes[:1] or 'none'}; {WANTED}.")
    for number, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise MeasureError(
                f"The {side} activations have {shapes[0]} in layer 0 and {shape} in layer {number}; {WANTED}."
            )
        if min(shape) == 0:
            raise MeasureError(f"Layer {number} of the {side} activations is empty, {shape}; {WANTED}.")
    for number, layer in enumerate(layers):
        if not bool(torch.isfinite(layer).all()):
            raise MeasureError(
                f"Layer {number} of the {side} activations holds values that are not finite numbers. Leave those samples out on both sides."
            )
    return torch.stack([layer.to(torch.promote_types(layers[0].dtype, layer.dtype)) for layer in layers])


def split(given: object, side: str) -> list[Any]:
    """Its layers. MeasureError where it has none, or is a single matrix."""
    dimensions = getattr(given, "ndim", None)
    if dimensions not in (None, 3):
        raise MeasureError(
            f"The {side} activations have shape {tuple(given.shape)}; {WANTED}. A single layer is x[None]."  # type: ignore[attr-defined]
        )
    if dimensions == 3 or isinstance(given, list | tuple):
        layers: list[Any] = list(given)  # type: ignore[call-overload]
        return layers
    raise MeasureError(
        f"The {side} activations are a {type(given).__name__}; expected an array or tensor, a list of matrices, or the path of a folder."
    )


def matrix(given: object, side: str) -> Tensor:
    """One layer in float64, or float32 where that holds it exactly. MeasureError for what holds no real numbers."""
    table = as_float64(side, given)
    floats = (torch.float32, torch.float16, torch.bfloat16, np.dtype("float32"), np.dtype("float16"))
    return table.float() if getattr(given, "dtype", None) in floats else table


def from_folder(folder: Path) -> list[Tensor]:
    """The layers that a folder's files hold, in natural order."""
    try:
        names = [path.name for path in folder.iterdir()]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PathError(
            f"{str(folder)[:200]} is not a readable folder ({reason}); expected one with a file a layer."
        ) from error
    for kind in KINDS:
        files = sorted((name for name in names if name.endswith(kind) and not name.startswith(".")), key=natural)
        if files:
            others = [name for name in names if name.endswith(KINDS) and name not in files and not name.startswith(".")]
            if others:
                raise PathError(
                    f"{folder} holds {files[0]} and {others[0]}; expected files of one kind. Remove the others."
                )
            return [read_layer(folder / name) for name in files]
    raise PathError(f"{folder} holds no .npy or .safetensors file; expected one a layer, such as 0.npy, 1.npy.")


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts numbers in a name by value."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"([0-9]+)", name)]


def read_layer(path: Path) -> Tensor:
    """One layer's matrix. Raises PathError for a file that is damaged, holds objects, or several tensors."""
    data = read_regular(path, MOST_BYTES)
    try:
        if path.suffix == ".npy":
            return matrix(np.load(io.BytesIO(data), allow_pickle=False), path.name)
        tensors = safetensors.torch.load(data)
    except (ValueError, EOFError, OSError, SyntaxError, TypeError, SafetensorError) as error:
        raise PathError(
            f"{path} is not a {path.suffix} file of plain numbers ({str(error)[:120]}). Write it again."
        ) from error
    if len(tensors) != 1:
        raise PathError(f"{path} holds {len(tensors)} tensors; expected one, samples x width. Write one file a layer.")
    return matrix(next(iter(tensors.values())), path.name)
