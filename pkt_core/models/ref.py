"""Which model, and how to hold it: plain words, so that plans and catalogues are read without loading anything heavy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pkt_core.data.prompts import assets_folder

DEMO = "demo:"  # a name that means the same in every clone, so that a run can be carried elsewhere

DType = Literal["auto", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda", "mps", "spread"]


class ModelRef(BaseModel):
    """Which model, and how to hold it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    """A hub id such as `Qwen/Qwen2.5-0.5B`, a local folder, or `demo:teacher` and `demo:student` for the bundled pair."""
    revision: str | None = None
    """Hub branch, tag or commit; None is the default branch."""
    dtype: DType = "auto"
    """`auto`: float32 on cpu and mps, bfloat16 on cuda (float16 where the card has none)."""
    device: Device = "auto"
    """`auto`: the first there is of cuda, mps, cpu. `spread`: over all cards and the machine's memory, by Accelerate."""

    @property
    def folder(self) -> Path | None:
        """The local folder, or None where the name is a hub id."""
        if self.name.startswith(DEMO):
            inside = self.name.removeprefix(DEMO)
            # A folder of the demo pair and nothing else: joined as it is, `demo:/etc` would lead anywhere.
            return assets_folder() / "demo" / (inside if re.fullmatch(r"[\w-]+", inside) else "unknown")
        path = Path(self.name).expanduser()
        looks_local = self.name.startswith((".", "/", "~")) or self.name.count("/") > 1 or path.is_dir()
        return path if looks_local else None


def short_name(name: str) -> str:
    """The last part of a hub id or path, for titles."""
    return name.rstrip("/").split("/")[-1].replace(":", "-")
