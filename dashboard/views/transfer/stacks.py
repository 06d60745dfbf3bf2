"""Two stacks of layers with the pairing drawn between them, edited by hand: drag a line, or click two layers.

It shows which teacher layer is paired with which student layer, beside the attribution behind it, and lets the user change it; the
drawing is in the link and in the plan.
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
"""Other ways to choose layers, which a drawing replaces."""
stacks = st.components.v2.component(
    "pkt-stacks",
    html='<div class="stacks"></div><div class="said" role="status" aria-live="polite"></div>',
    css=access.own(Path(__file__).with_suffix(".css")).decode(),
    js=access.own(Path(__file__).with_suffix(".js")).decode(),
)


def drawn() -> None:
    """Store the pairs just drawn."""
    if (pairs := state.triggered(KEY, "drawn")) is not None:
        state.hold(Param.DRAWN, pairs)
        state.forget_all(OTHERWISE)


def automatic() -> None:
    """Return to the method's choice."""
    state.hold(Param.DRAWN, "")


def line() -> str:
    """The drawn pairs as text, which is also the way to enter them without a mouse; empty where the method chooses."""
    return widgets.line(
        "Layer pairs (teacher:student)",
        Param.DRAWN,
        placeholder="automatic, or 5:2, 3:1",
        help="The drawn pairs, counted from 0. Empty: the method chooses by attribution and its pairing rule.",
        max_chars=2000,
    )


def beside() -> None:
    """Beside the figure: the button back to automatic, and a caption."""
    if state.value(Param.DRAWN, ""):
        st.button("Back to automatic", on_click=automatic, icon=":material/undo:", key="undraw")
    st.caption(comparison_text.STACKS)


def draw(n_teacher: int, n_student: int, pairs: Iterable[LayerPair], attribution: LayerAttribution | None) -> None:
    """The figure; `attribution` comes from a comparison, None where there is none."""
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
