"""The tour: seven steps through the recorded demo run, each on the page that shows it, with next, back and skip.

It shows a first visitor what the app does and how far its results can be trusted. Every number is read from the recorded results and
can be reproduced with the command beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from dashboard import loaders, recorded, state, widgets
from pkt_core.errors import PktError
from pkt_core.runs.results import RunResults
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.studies.comparison import text as comparison_text
from pkt_core.studies.families import text as families_text
from pkt_core.words.style import number


@dataclass(frozen=True)
class Step:
    """One step."""

    page: str
    """The page, as the link names it."""
    title: str
    words: str
    """What to look at."""
    fact: Callable[[], str]
    """A result of the recording; empty where it is missing."""


def compatible() -> str:
    comparison = recorded.comparison()
    return comparison_text.compatible(comparison) if comparison else ""


def best_cell() -> str:
    comparison = recorded.comparison()
    if not comparison:
        return ""
    teacher, student, value = comparison.grid.best
    return f"Teacher layer {teacher} and student layer {student} are the most similar, at {number(value)}."


def of_run(sentence: Callable[[RunResults], str]) -> Callable[[], str]:
    """A sentence about the first finished recorded run; empty where there is none."""

    def from_recording() -> str:
        shipped = next((run for run in loaders.runs() if run.recorded and run.state == "done"), None)
        try:
            results = loaders.run(shipped.id).results() if shipped else None
        except PktError:
            return ""
        return sentence(results) if results is not None and results.behaviour is not None else ""

    return from_recording


def effort(results: RunResults) -> str:
    spent = widgets.spent(results.seconds.total)
    return f"The recorded run took {results.steps} steps and {spent} on a CPU."


def against_controls() -> str:
    table = recorded.family()
    return families_text.explained(table, table.asked[0]) if table is not None and table.asked else ""


STEPS = (
    Step(
        "pair",
        "Two models",
        "A large model, the teacher, knows facts that a small one, the student, does not. Can its knowledge be transferred, although their parameters have different shapes?",
        compatible,
    ),
    Step(
        "alignment",
        "Where the layers agree",
        "Each cell compares one teacher layer with one student layer on the same prompts. Click a cell to select those two layers on every page.",
        best_cell,
    ),
    Step(
        "latent_map",
        "Both latent spaces",
        "Each prompt is a point in both latent spaces. Select some with the lasso: they stay selected on every page.",
        lambda: "",
    ),
    Step(
        "transfer",
        "Run a transfer",
        "This page trains a student on the teacher's activations, or by a rival method. Nothing leaves this machine.",
        of_run(effort),
    ),
    Step(
        "behaviour",
        "What changed",
        "The student's answers before and after, beside the teacher's. The tabs below show controls, costs, layers that moved, and generated text.",
        of_run(behaviour_text.behaviour),
    ),
    Step(
        "families",
        "Is it real?",
        "The same transfer with one ingredient removed, and rival methods on the same data. Where a control does as well, the removed ingredient contributed nothing.",
        against_controls,
    ),
    Step(
        "transfer",
        "Your turn",
        "Press Start the transfer: it takes about a minute for the demo pair. For your own models, choose custom under Pair in the sidebar and enter two Hugging Face ids or folders.",
        lambda: "",
    ),
)


def move(here: str) -> None:
    """Go to the page of a step that was just requested."""
    at = state.tour_step()
    if state.tour_moves() and at is not None and STEPS[at].page != here:
        state.go(STEPS[at].page)


def draw(here: str) -> None:
    """The card of the current step, with a link where its page is another than `here`. On a first visit, an offer of the tour."""
    at = state.tour_step()
    if at is None:
        if not state.came_by_link():
            offer()
        return
    step = STEPS[at]
    with st.container(border=True, key="tour"):
        fact = step.fact()
        text = f"**{at + 1} of {len(STEPS)}: {step.title}{'' if step.title.endswith('?') else '.'}** {widgets.plain(step.words)} {widgets.plain(fact)}"
        st.markdown(text)
        with st.container(horizontal=True, gap="small"):
            if step.page != here:
                st.button("Go there", key="tour-there", on_click=state.tour_to, args=(at,), icon=":material/near_me:")
            st.button("Back", key="tour-back", disabled=at == 0, on_click=state.tour_to, args=(at - 1,))
            if at + 1 < len(STEPS):
                st.button("Next", key="tour-next", type="primary", on_click=state.tour_to, args=(at + 1,))
            st.button(
                "Skip" if at + 1 < len(STEPS) else "Close", key="tour-skip", type="tertiary", on_click=state.tour_end
            )


def offer() -> None:
    """The offer to take or skip the tour."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tour-offer"):
        st.markdown("New here?", width="content")
        st.button(
            "Take the tour, one minute",
            key="tour-start",
            type="primary",
            icon=":material/explore:",
            on_click=state.tour_to,
            args=(0,),
        )
        st.button("Skip", key="tour-no", type="tertiary", on_click=state.tour_end)
