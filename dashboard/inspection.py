"""What the Inspector looks at: a text, a token in it, a run, and the way bases are made, all from the link.

Not covered: what is shown of it (`views/inspector/page.py`).
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import loaders, selection, state, widgets
from dashboard.params import Param
from pkt_core.alignment import choice

RIDGES = tuple(f"{ridge:g}" for ridge in choice.RIDGES)
ANSWER = "answer"  # label of a prompt that names the word it leads to


def text_choice() -> tuple[str, str]:
    """The text to look at, and the word it leads to where its prompt set says so."""
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
            help=f"Its number in the set chosen on the left, 0 to {len(texts) - 1}. Empty: the first of the picked prompts.",
        )
    with two:
        typed = st.text_input(
            "Or a text of your own",
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
        st.info(f"This set has prompts 0 to {len(texts) - 1}, got {number}; showing prompt {first} instead.")
        number = first
    return texts[number], labels.get(ANSWER, [""] * len(texts))[number]


def character(text: str) -> int | None:
    """The chosen character of a text, None for its last one."""
    at = state.value(Param.AT)
    if at is None or not str(at).isdecimal():
        return None
    if int(at) >= len(text):
        st.info(
            f"The link asks for character {int(at)}, which this text does not have; showing its last token instead."
        )
        return None
    return int(at)


def basis_choice() -> choice.BasisChoice:
    """How bases are made."""
    return choice.BasisChoice(
        gain=str(state.value(Param.GAIN, False)).lower() == "true",
        norm=str(state.value(Param.NORM, False)).lower() == "true",
        ridge=float(state.one_of(Param.RIDGE, RIDGES, RIDGES[0])),
    )


def layers() -> dict[str, int]:
    """The chosen layers as the engine wants them: from the comparison where there is one, else as the link says."""
    if comparison := selection.recorded() or selection.compared():
        teacher, student = selection.layers(comparison)
        return {"teacher_layer": teacher, "student_layer": student}
    held = {"teacher_layer": Param.TEACHER_LAYER, "student_layer": Param.STUDENT_LAYER}
    return {
        name: int(value) for name, param in held.items() if (value := str(state.value(param, state.AUTO))).isdecimal()
    }


def run_choice() -> str | None:
    """A finished run whose student is read too; `auto` is none here."""
    listed = [run.id for run in loaders.runs() if run.state in ("done", "stopped")]
    held = str(state.value(Param.RUN, state.AUTO))
    if held not in (state.AUTO, *listed):
        st.info(widgets.plain(f"The run {held[:80]} cannot be read here; showing none instead."))
        state.forget(Param.RUN)
    picked = st.selectbox(
        "Student after a run (auto: none)",
        [state.AUTO, *listed],
        key=Param.RUN.value,
        bind=widgets.BIND,
        help="Reads the student that this run trained beside the student before.",
    )
    return None if picked == state.AUTO else picked


def common() -> dict[str, Any]:
    """What both requests of this page share."""
    shared = selection.comparison_request()
    return {**selection.pair_request(), "part": shared["part"], "seed": shared["seed"]}


def may_start(function: str) -> bool:
    """Whether to compute without being asked: for pairs that ship, and for those whose models were loaded before."""
    ships = bool(loaders.pair_names().get(selection.pair_name(), {}).get("bundled"))
    return ships or loaders.asked_before(function, selection.pair_request())


def begin(function: str, request: dict[str, Any]) -> None:
    """Start a computation; for callbacks."""
    loaders.ask(function, request)
