"""The Inspector's inputs, all from the link: a text, a token in it, a run, and the choices for semantic bases.

Not covered: what the page shows (`views/inspector/page.py`).
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import loaders, selection, state, widgets
from dashboard.params import Param
from pkt_core.alignment import choice

RIDGES = tuple(f"{ridge:g}" for ridge in choice.RIDGES)
ANSWER = "answer"  # label that holds the expected next word of a prompt


def text_choice() -> tuple[str, str]:
    """The text to inspect, and its expected next word where the prompt set has one."""
    texts, labels = loaders.prompt_list(**selection.prompts_request())
    first = next((number for number in state.picked() if number < len(texts)), 0)
    one, two = st.columns([1, 3])
    with one:
        number = st.number_input(
            "Prompt",
            0,
            value=None,
            placeholder=f"auto: {first}",
            key=Param.PROMPT.value,
            bind=widgets.BIND,
            on_change=state.look_at,
            args=(None,),
            help=f"Number in the set chosen in the sidebar, 0 to {len(texts) - 1}. Empty: the first picked prompt.",
        )
    with two:
        typed = st.text_input(
            "Or your own text",
            key=Param.TEXT.value,
            bind=widgets.BIND,
            max_chars=600,
            placeholder="instead of the prompt",
            on_change=state.look_at,
            args=(None,),
        )
    if typed and typed.strip():
        return str(typed), ""
    number = first if number is None else int(number)
    if number >= len(texts):
        st.info(f"Got prompt {number}; this set has prompts 0 to {len(texts) - 1}. Showing prompt {first}.")
        number = first
    return texts[number], labels.get(ANSWER, [""] * len(texts))[number]


def character(text: str) -> int | None:
    """The chosen character of a text, None for its last one."""
    at = state.value(Param.AT)
    if at is None or not str(at).isdecimal():
        return None
    if int(at) >= len(text):
        st.info(f"The link sets character {int(at)}, which this text does not have. Showing its last token.")
        return None
    return int(at)


def basis_choice() -> choice.BasisChoice:
    """How semantic bases are computed."""
    return choice.BasisChoice(
        gain=str(state.value(Param.GAIN, False)).lower() == "true",
        norm=str(state.value(Param.NORM, False)).lower() == "true",
        ridge=float(state.one_of(Param.RIDGE, RIDGES, RIDGES[0])),
    )


def layers() -> dict[str, int]:
    """The chosen layers as a request to the engine: from the comparison where there is one, else from the link."""
    if comparison := selection.recorded() or selection.compared():
        teacher, student = selection.layers(comparison)
        return {"teacher_layer": teacher, "student_layer": student}
    held = {"teacher_layer": Param.TEACHER_LAYER, "student_layer": Param.STUDENT_LAYER}
    return {
        name: int(value) for name, param in held.items() if (value := str(state.value(param, state.AUTO))).isdecimal()
    }


def run_choice() -> str | None:
    """A finished run whose student is inspected too; `auto` means none."""
    listed = [run.id for run in loaders.runs() if run.state in ("done", "stopped")]
    held = str(state.value(Param.RUN, state.AUTO))
    if held not in (state.AUTO, *listed):
        st.info(widgets.plain(f"Got run {held[:80]}, which cannot be read here. Showing no run."))
        state.forget(Param.RUN)
    picked = st.selectbox(
        "Student after a run (auto: none)",
        [state.AUTO, *listed],
        key=Param.RUN.value,
        bind=widgets.BIND,
        help="Shows the student trained in this run beside the original student.",
    )
    return None if picked == state.AUTO else picked


def common() -> dict[str, Any]:
    """The fields that both requests of this page share."""
    shared = selection.comparison_request()
    return {**selection.pair_request(), "part": shared["part"], "seed": shared["seed"]}


def may_start(function: str) -> bool:
    """Whether to compute at once: for bundled pairs, and for those whose models were loaded before."""
    ships = loaders.ships(selection.pair_name())
    return ships or loaders.asked_before(function, selection.pair_request())


def begin(function: str, request: dict[str, Any]) -> None:
    """Start a computation; for callbacks."""
    loaders.ask(function, request)
