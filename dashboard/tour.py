"""The first minute: seven steps through the recorded demo run, each on the page that shows it, with next, back and skip.

Who comes for the first time wants to know what this is and whether to believe it; every number said here is read from what ships
with the project and can be made again by the command beside it.
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
    """One stop."""

    page: str
    """The page it is on, as the link names it."""
    title: str
    words: str
    """What to look at."""
    fact: Callable[[], str]
    """What the recording says there; empty where it is missing."""


def compatible() -> str:
    comparison = recorded.comparison()
    return comparison_text.compatible(comparison) if comparison else ""


def best_cell() -> str:
    comparison = recorded.comparison()
    if not comparison:
        return ""
    teacher, student, value = comparison.grid.best
    return f"Most alike are teacher layer {teacher} and student layer {student}, at {number(value)}."


def of_run(sentence: Callable[[RunResults], str]) -> Callable[[], str]:
    """Something said of the recorded run that is opened first; empty where it is not there."""

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
    return f"The recorded run took {results.steps} steps and {spent} on the CPU it was made on."


def against_controls() -> str:
    table = recorded.family()
    return families_text.explained(table, table.asked[0]) if table is not None and table.asked else ""


STEPS = (
    Step(
        "pair",
        "Two models",
        "A large model, the teacher, knows facts that a small one, the student, does not. The question is whether knowledge can flow from one to the other although no parameter of theirs fits the other.",
        compatible,
    ),
    Step(
        "alignment",
        "Where they agree",
        "Each cell holds one teacher layer against one student layer, on the same prompts. Click a cell: every page then looks at those two layers.",
        best_cell,
    ),
    Step(
        "latent_map",
        "What it looks like",
        "Each prompt is a point in both models, drawn in one picture. Circle some with the lasso: they stay chosen on every page.",
        lambda: "",
    ),
    Step(
        "transfer",
        "Make it flow",
        "Here a student is taught, by the teacher's activations or by a rival method. Nothing leaves this machine.",
        of_run(effort),
    ),
    Step(
        "behaviour",
        "What changed",
        "What the student answers before and after, beside the teacher. Below, one part at a time: whether a control gained as much, what it cost, which layers moved, what the models write.",
        of_run(behaviour_text.behaviour),
    ),
    Step(
        "families",
        "Is it real?",
        "The same transfer with its meaning taken away, and rival methods on the same data. Where a control does as well, what it lacks did nothing.",
        against_controls,
    ),
    Step(
        "transfer",
        "Your turn",
        "Press Start the transfer: it takes about a minute for the demo pair. For models of your own, choose custom under Pair in the bar at the left and name two Hugging Face ids or folders.",
        lambda: "",
    ),
)


def move(here: str) -> None:
    """Go to the page of a step that was just asked for."""
    at = state.tour_step()
    if state.tour_moves() and at is not None and STEPS[at].page != here:
        state.go(STEPS[at].page)


def draw(here: str) -> None:
    """The card of the present step, on its page or with the way there; `here` is the page one is on. An offer on a first visit."""
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
    """What a first visitor may do."""
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
