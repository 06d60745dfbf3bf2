"""Models of one's own: what fits this device, and how to bring them.

The user wants to know, before a download or a crash, whether the two models they have in mind can be looked at on this machine.
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
BESIDE = 1.2  # states and single layers' copies, beside the weights
CUSTOM = "custom"


def free() -> tuple[str, float]:
    """The device that a computation would take, and its free memory in GiB: the first card, else the CPU."""
    if cards := device.cards():
        name, used, total = cards[0]
        return name, total - used
    return "CPU", device.memory_gib()[0]


def fitting() -> pd.DataFrame:
    """Every pair of the catalogue: what it needs, whether that fits here now, and whether its models can be had."""
    _, there = free()
    rows = []
    for name, facts in loaders.pair_names().items():
        missing = loaders.unavailable(name)
        rows.append(
            {
                "Pair": name,
                "Models": facts["title"],
                "Needs (GiB)": facts["needs_gib"],
                "Fits now": "yes" if facts["needs_gib"] <= there else "no",
                "Can be had": "yes" if missing is None else "no",
                "Why one would": facts["note"],
            }
        )
    return pd.DataFrame(rows)


def invite() -> None:
    """How to bring two models, and what would fit; nothing where a public demo has its own only."""
    if limits.demo():
        return
    st.subheader("Bring your own models", anchor=False)
    name, there = free()
    each = 2 if device.cards() else 4
    most = there * GIB / BESIDE / each / 1e9
    st.markdown(
        widgets.plain(
            f"{name} has {style.memory(there)} free: room to compare two models of about {most:.1f} billion parameters together, at "
            f"{each} bytes each. Any two decoders in Hugging Face format will do, by hub id or folder; they are asked for the capitals "
            "of 159 countries unless you bring examples."
        )
    )
    st.button(
        "Choose two models", key="own-models", icon=":material/add:", on_click=state.hold, args=(Param.PAIR, CUSTOM)
    )
    with st.expander("Pairs worth trying, and which fit here", icon=":material/table:"):
        widgets.small_table(fitting())
        st.caption(
            "Needs: both models in 16 bits and one student layer in training, about; the page Transfer works out a plan's needs before it "
            "starts. Can be had: it comes with the project, is in the Hugging Face cache, or the hub can be reached."
        )


def room(request: dict[str, Any]) -> None:
    """Whether a pair that was not compared yet fits: what the catalogue says of it, or from two named models' configurations."""
    facts = loaders.pair_names().get(request["pair"])
    if facts is not None:
        name, there = free()
        st.caption(widgets.plain(f"Wants about {facts['needs_gib']:g} GiB; {name} has {style.memory(there)} free."))
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
    """Whether both models have room beside each other, with what a comparison needs beside the weights."""
    return needs.bytes * BESIDE <= needs.free


def in_words(needs: PairNeeds) -> str:
    """Parameters, memory and whether that is there."""
    sizes = " and ".join(f"{n / 1e9:.2f}" for n in needs.n_parameters.values())
    sentence = (
        f"{sizes} billion parameters: about {style.memory(needs.bytes * BESIDE / GIB)} of memory to compare them, "
        f"{needs.device} has {style.memory(needs.free / GIB)} free"
    )
    if fits(needs):
        return f"{sentence}."
    return f"{sentence}. Choose smaller models, 16 bits under Advanced, Precision, or free some memory."
