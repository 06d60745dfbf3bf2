"""Two stacks of layers with the pairing drawn between them, changed by hand: drag a line, or click two layers.

The user wants to see which teacher layer will teach which student layer, beside the attribution that speaks for it, and to
change it there; what was drawn is in the link and in the plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import streamlit as st

from dashboard import access, state, widgets
from dashboard.params import Param
from pkt_core.alignment.pairing import LayerPair
from pkt_core.alignment.record import LayerAttribution
from pkt_core.studies.comparison import text as comparison_text

KEY = "stacks"
OTHERWISE = (Param.N_PAIRS, Param.PAIRING, Param.INTERPOLATE)
"""Other ways to choose layers, which a drawing takes the place of."""
stacks = st.components.v2.component(
    "pkt-stacks",
    html='<div class="stacks"></div><div class="said" role="status" aria-live="polite"></div>',
    css=access.own(Path(__file__).with_suffix(".css")).decode(),
    js=access.own(Path(__file__).with_suffix(".js")).decode(),
)


def drawn() -> None:
    """Take over what was just drawn."""
    if (pairs := state.triggered(KEY, "drawn")) is not None:
        state.hold(Param.DRAWN, pairs)
        state.forget_all(OTHERWISE)


def automatic() -> None:
    """Back to what the method would choose."""
    state.hold(Param.DRAWN, "")


def line() -> str:
    """The drawn pairs in words, which is also how to give them without a mouse; empty where the method chooses."""
    return widgets.line(
        "Layer pairs (teacher:student)",
        Param.DRAWN,
        placeholder="automatic, or 5:2, 3:1",
        help="What is drawn, from 0. Empty it and the method chooses by attribution and its pairing rule.",
        max_chars=2000,
    )


def beside() -> None:
    """What goes beside the picture: the way back, and how to read it."""
    if state.value(Param.DRAWN, ""):
        st.button("Back to automatic", on_click=automatic, icon=":material/undo:", key="undraw")
    st.caption(comparison_text.STACKS)


def draw(n_teacher: int, n_student: int, pairs: Iterable[LayerPair], attribution: LayerAttribution | None) -> None:
    """The picture; `attribution` is that of a comparison, None where there is none."""
    by_hand = bool(state.value(Param.DRAWN, ""))
    bars = (
        {}
        if attribution is None
        else {"scores": attribution.scores.tolist(), "low": attribution.low.tolist(), "high": attribution.high.tolist()}
    )
    stacks(
        key=KEY,
        data={
            "teacher": n_teacher,
            "student": n_student,
            "pairs": [[pair.teacher, pair.student] for pair in pairs],
            "by_hand": by_hand,
            "label": "Two stacks of layers, the teacher's left, the student's right, joined by lines",
            "scores": None,
            **bars,
        },
        on_drawn_change=drawn,
    )
