"""The bar that is always there: pair, prompts, chosen layers, and how activations are read.

These controls are drawn on every page, so that what is selected stays selected, and in the link, from page to page.
"""

from __future__ import annotations

import streamlit as st

from dashboard import loaders, prompt_choice, selection, state, widgets
from dashboard.state import Param

ADVANCED = (
    Param.POOLING,
    Param.PART,
    Param.OUTLIERS,
    Param.SKIP_FIRST,
    Param.N_PROMPTS,
    Param.SEED,
    Param.DEVICE,
    Param.DTYPE,
    Param.FRESH,
)


def draw() -> None:
    """All shared controls."""
    state.remember_link()
    with st.sidebar:
        pair()
        layers()
        widgets.line(
            "Picked prompts",
            Param.PICKED,
            placeholder="none",
            help="Numbers of prompts in their set, from 0. A click or lasso in the latent map fills this in; every page then shows these prompts. Empty it to pick none.",
            max_chars=None,
        )
        if chosen := state.picked():
            st.button(
                f"Clear {len(chosen)} picked", on_click=state.pick, args=([],), icon=":material/close:", key="unpick"
            )
        with widgets.advanced(*ADVANCED):
            advanced()


def pair() -> None:
    name = widgets.choice(
        "Pair",
        [*loaders.pair_names(), selection.CUSTOM],
        Param.PAIR,
        help="The demo pair ships with the project; others come from the Hugging Face hub; custom is any two of your own.",
    )
    if name == selection.CUSTOM:
        folder = "A Hugging Face id such as Qwen/Qwen2.5-0.5B, or a local folder."
        widgets.line(
            "Teacher", Param.TEACHER, placeholder="hub id or folder", help=f"It gives and stays as it is. {folder}"
        )
        widgets.line(
            "Student", Param.STUDENT, placeholder="hub id or folder", help=f"It receives and changes. {folder}"
        )
    prompt_choice.draw()


def layers() -> None:
    found = selection.recorded() or selection.compared()
    left, right = st.columns(2)
    for place, label, side, param in (
        (left, "Teacher layer", "teacher", Param.TEACHER_LAYER),
        (right, "Student layer", "student", Param.STUDENT_LAYER),
    ):
        with place:
            widgets.layer_choice(label, found[side]["n_layers"] if found else None, param)
    if found:
        teacher, student = found["chosen"]
        st.caption(
            f"auto: {teacher} and {student}, by {'attribution' if found['attribution'] else 'depth'} and pairing"
        )


def advanced() -> None:
    widgets.choice(
        "Pooling",
        selection.POOLINGS,
        Param.POOLING,
        help="One vector a prompt: the mean over its tokens, its last token, or every token.",
    )
    widgets.choice(
        "Site",
        selection.PARTS,
        Param.PART,
        help="block_out is the residual stream after a layer; block_delta is what the layer added.",
    )
    widgets.choice(
        "Outlier dimensions",
        selection.OUTLIERS,
        Param.OUTLIERS,
        help="A few huge dimensions can own a similarity. clamp cuts entries at their 0.95 quantile, drop_top removes the three dimensions of largest variance, standardise brings all to one variance.",
    )
    widgets.toggle(
        "Skip position 0",
        Param.SKIP_FIRST,
        help="The first token often carries a massive activation that says nothing of the text.",
    )
    widgets.amount(
        "Prompts, at most", Param.N_PROMPTS, low=64, high=selection.MOST_PROMPTS, default=selection.N_PROMPTS, step=64
    )
    widgets.amount("Seed", Param.SEED, low=0, high=10**6, default=0, help="Draws prompts, permutations and controls.")
    widgets.choice(
        "Device",
        selection.DEVICES,
        Param.DEVICE,
        help="auto takes the first there is of cuda, mps, cpu; spread shares a model out over all cards.",
    )
    widgets.choice("Precision", selection.DTYPES, Param.DTYPE, help="auto: 32 bits on a CPU, 16 on a graphics card.")
    widgets.toggle("Measure again", Param.FRESH, help="Instead of showing the recorded comparison of the demo pair.")
    st.button(
        "Free the engine's memory",
        on_click=lambda: loaders.engine().release(),
        icon=":material/memory:",
        help="Ends what it computes; results stay.",
    )
