"""Custom models: what fits this device, and how to choose them.

The user learns, before a download or a crash, whether two models can be compared on this machine.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import device, limits, loaders, state, widgets
from dashboard.params import Param
from pkt_core.transfer.record import PairNeeds
from pkt_core.words import style

GIB = 2**30
BESIDE = 1.2  # memory relative to the weights: states and copies of single layers come on top
CUSTOM = "custom"


def free() -> tuple[str, float]:
    """The device that a computation would take, and its free memory in GiB: the first card, else the CPU."""
    if cards := device.cards():
        name, used, total = cards[0]
        return name, total - used
    return "CPU", device.memory_gib()[0]


def fitting() -> pd.DataFrame:
    """Every pair of the catalogue: the memory it needs, whether that is free now, and whether its models are available."""
    _, there = free()
    rows = []
    for name, facts in loaders.pair_names().items():
        missing = loaders.unavailable(name)
        rows.append(
            {
                "Pair": name,
                "Models": facts.title,
                "Needs (GiB)": facts.needs_gib,
                "Fits now": "yes" if facts.needs_gib <= there else "no",
                "Available": "yes" if missing is None else "no",
                "Purpose": facts.note,
            }
        )
    return pd.DataFrame(rows)


def invite() -> None:
    """How to choose two models, and what would fit; nothing in a public demo, which offers only its own."""
    if limits.demo():
        return
    st.subheader("Bring your own models", anchor=False)
    name, there = free()
    each = 2 if device.cards() else 4
    most = there * GIB / BESIDE / each / 1e9
    st.markdown(
        widgets.plain(
            f"{name} has {style.memory(there)} free: enough to compare two models of about {most:.1f} billion parameters in total, at "
            f"{each} bytes each. Any two decoders in Hugging Face format work, by hub id or folder. They are tested on the capitals "
            "of 159 countries unless you provide examples."
        )
    )
    st.button(
        "Choose two models", key="own-models", icon=":material/add:", on_click=state.hold, args=(Param.PAIR, CUSTOM)
    )
    with st.expander("Pairs worth trying, and which fit here", icon=":material/table:"):
        widgets.small_table(fitting())
        st.caption(
            "Needs: approximate, for both models in 16 bits and one student layer in training; the page Transfer estimates each plan before it "
            "starts. Available: bundled, in the Hugging Face cache, or the hub can be reached."
        )


def room(request: dict[str, Any]) -> None:
    """Whether a pair that was not compared yet fits: from the catalogue, or from the configurations of two custom models."""
    facts = loaders.pair_names().get(request["pair"])
    if facts is not None:
        name, there = free()
        st.caption(widgets.plain(f"Needs about {facts.needs_gib:g} GiB; {name} has {style.memory(there)} free."))
        return
    arguments: dict[str, Any] = {
        key: request[key] for key in ("pair", "teacher", "student", "device", "dtype") if key in request
    }
    task = loaders.soon(loaders.ask("pair_room", arguments))
    widgets.until_over("Reading both configurations.", task)
    if task.status == "done":
        needs: PairNeeds = task.record
        (st.caption if fits(needs) else st.warning)(widgets.plain(in_words(needs)))


def fits(needs: PairNeeds) -> bool:
    """Whether both models fit together, with the memory that a comparison needs besides the weights."""
    return needs.bytes * BESIDE <= needs.free


def in_words(needs: PairNeeds) -> str:
    """Parameters, the memory needed and the memory free."""
    sizes = " and ".join(f"{n / 1e9:.2f}" for n in needs.n_parameters.values())
    sentence = (
        f"{sizes} billion parameters: comparing them needs about {style.memory(needs.bytes * BESIDE / GIB)}; "
        f"{needs.device} has {style.memory(needs.free / GIB)} free"
    )
    if fits(needs):
        return f"{sentence}."
    return f"{sentence}. Choose smaller models, 16 bits under Advanced, Precision, or free some memory."
