"""Tokens: a run's student before and after, beside the teacher, token by token, most changed sentences first."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import figure_cache as figures
from dashboard import loaders, run_widgets, selection, state, widgets
from dashboard.params import Param
from dashboard.views.tokens import sentence as tokens_sentence
from pkt_core.studies.token_change import text as token_change_text
from pkt_core.studies.token_change.record import TokenChange

TASKS, GENERAL, PROMPTS = "run's tasks", "general text", "my prompts"
KINDS = {TASKS: "tasks", GENERAL: "general", PROMPTS: "prompts"}
N_TEXTS, MOST_TEXTS = 120, 500


def request(run_id: str, texts: str) -> dict[str, Any]:
    """The request to the engine: the texts, and for custom prompts the set and the picked ones."""
    arguments: dict[str, Any] = {"run": run_id, "texts": KINDS[texts], "seed": state.whole(Param.SEED, 0, 0, 10**6)}
    arguments["n"] = state.whole(Param.N_TEXTS, N_TEXTS, 2, MOST_TEXTS)
    if texts == PROMPTS:
        arguments |= {**selection.prompts_request(), "ids": state.picked()[:MOST_TEXTS]}
    return arguments


def advanced() -> None:
    """Advanced settings."""
    with widgets.advanced(Param.N_TEXTS, Param.SENTENCE, Param.TOKEN):
        one, two, three = st.columns(3)
        with one:
            widgets.amount("Maximum texts", Param.N_TEXTS, low=2, high=MOST_TEXTS, default=N_TEXTS, step=20)
        with two:
            widgets.place(
                "Sentence", Param.SENTENCE, auto="most changed",
                help="Its number in the first column. Clicking a row sets it.",
            )  # fmt: skip
        with three:
            widgets.place(
                "Token", Param.TOKEN, low=1, auto="most changed",
                help="Its position in the sentence. Token 0 is not predicted. Clicking a token sets it.",
            )  # fmt: skip


def show_run(run: Any) -> None:
    """The page for one run."""
    one, two, three = st.columns([4, 3, 3], vertical_alignment="bottom")
    with one:
        texts = widgets.switch("Texts", list(KINDS), Param.TOKEN_TEXTS, default=TASKS, help="run's tasks: prompt and answer together. my prompts: the set in the sidebar, or its picked prompts.")  # fmt: skip
    with two:
        measure = tokens_sentence.colour_choice()
    with three:
        only = widgets.toggle("Only what changed", Param.ONLY_DIFFERENT, help="Hides texts whose most likely next token is unchanged at every position.")  # fmt: skip
    place = st.container()
    advanced()
    arguments = request(run.id, texts)
    with place:
        task = loaders.ask("token_change", arguments)
        record: TokenChange | None = widgets.result(
            loaders.soon(task, 0.3),
            "Reading token by token",
            lambda: loaders.ask("token_change", arguments, again=True),
        )
        if record is None:
            return
        widgets.answer(token_change_text.tokens(record), recorded=run.recorded)
        order = tokens_sentence.ranking(record, only)
        if not order:
            st.info(
                "The most likely next token is unchanged at every position. Switch `Only what changed` off to see the texts."
            )
            return
        sentence = tokens_sentence.chosen_sentence(record, order)
        token = tokens_sentence.chosen_token(sentence)
        if figures.COLOURINGS[measure].of(sentence) is None:
            st.info("Teacher and student tokenise differently, so the teacher cannot be compared token by token.")
        tokens_sentence.in_colour(run.id, sentence, measure, token)
        tokens_sentence.closely(sentence, token)
        tokens_sentence.layers(run, sentence, token)
        tokens_sentence.confidence(record)


def show() -> None:
    widgets.head(
        "Where did predictions change?",
        "The student before and after a transfer, token by token, beside the teacher: where predictions changed, and whether they improved.",
        words=("KL", "JS", "calibration"),
    )
    with widgets.errors():
        run = run_widgets.finished_run(weights=True)
        if run is None:
            return
        if not run_widgets.keeps_student(run.folder):
            widgets.empty(
                "This run's trained weights are not stored",
                "Its scores are on the page Behaviour. To see it token by token, run its plan again.",
            )
            return
        show_run(run)


show()
