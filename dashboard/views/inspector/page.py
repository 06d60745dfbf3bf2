"""Inspector: one token of one text; the nearest vocabulary tokens at each layer, teacher beside student, and mapped between them."""

from __future__ import annotations

import zlib
from dataclasses import asdict
from typing import Any

import streamlit as st

from dashboard import exports, inspection, loaders, selection, state, widgets
from dashboard import figure_cache as figures
from dashboard.params import Param
from pkt_core.studies.inspection import text as inspection_text
from pkt_core.studies.inspection.record import BasisOptions, Inspection, Reader
from pkt_core.words import style


def apart(names: list[str]) -> list[str]:
    """The same names, repeats made distinct by zero-width spaces: Streamlit identifies an option by its label."""
    return [name + "\u200b" * names[:i].count(name) for i, name in enumerate(names)]


def token_row(label: str, reader: Reader, text: str) -> None:
    """The text in one model's tokens; a click chooses the token."""
    names = apart([widgets.plain(style.visible(name, 24)) for name, _, _ in reader.tokens])
    ends = [end for _, _, end in reader.tokens]
    # A row belongs to one text and one token: another text or token makes a new row that starts at the current token.
    key = f"tokens-{label}-{reader.token}-{zlib.crc32(text.encode())}"
    st.pills(
        label,
        range(len(names)),
        default=reader.token,
        format_func=names.__getitem__,
        required=True,
        key=key,
        on_change=state.look_at_token,
        args=(key, ends),
        help="Click a token to read its states.",
    )


def token_rows(record: Inspection) -> None:
    """One row of tokens where both models tokenise identically, else one each."""
    if record.teacher.tokens == record.student.tokens:
        token_row("Token", record.teacher, record.text)
        return
    token_row("Teacher's tokens", record.teacher, record.text)
    token_row("Student's tokens", record.student, record.text)
    st.caption(
        "The comparison uses the token of each model that covers the chosen character; nothing is matched by position or id."
    )


def advanced(answer: str) -> dict[str, Any]:
    """Advanced settings."""
    with st.expander("Advanced"):
        one, two, three, four = st.columns(4)
        with one:
            k = widgets.amount("Tokens per layer", Param.TOP_K, low=1, high=10, default=5)
        with two:
            anchor = widgets.line(
                "Track a word",
                Param.ANCHOR,
                placeholder=answer or "none",
                help="Its first token is tracked through the layers, beside the models' predictions. Empty: the prompt's answer, where its set has one.",
            )
        with three:
            run = inspection.run_choice()
        with four:
            widgets.place(
                "Character",
                Param.AT,
                auto="last",
                help="Selects the token that covers this character, counted from 0. Clicking a token sets it.",
            )
    return {"k": k, "anchor": anchor or answer, "run": run}


def answered(function: str, request: dict[str, Any], what: str) -> Any:
    """A computation's record; None while its progress, error or start button is on the page."""
    task = loaders.ask(function, request) if inspection.may_start(function) else loaders.known(function, request)
    if task is None:
        loaders.engine().warm()
        widgets.empty(
            "Not computed yet", "Both models are loaded first: seconds for small ones, minutes for large ones."
        )
        st.button(
            "Inspect",
            type="primary",
            key=f"start-{function}",
            icon=":material/play_arrow:",
            on_click=inspection.begin,
            args=(function, request),
        )
        return None
    return widgets.result(loaders.soon(task), what, lambda: loaders.ask(function, request, again=True))


def pictures(record: Inspection) -> None:
    """Nearest tokens, trajectories through the layers, differences."""
    st.subheader("Nearest tokens by layer", anchor=False)
    widgets.figure(
        figures.reading_figure(record),
        inspection_text.READING,
        inspection_text.reading_table(record),
        "readings",
        alt="Nearest tokens by layer for teacher, student, mapped teacher and control",
    )
    if record.teacher.lens:
        with st.expander("Logit lens", icon=":material/table:"):
            st.dataframe(inspection_text.lens_table(record), hide_index=True, alt="Logit lens by layer")
            st.caption(
                "The next-token prediction if this were the last layer: its state through the final norm and the head, with probabilities."
            )
    st.subheader("At which layer does the word appear?", anchor=False)
    widgets.figure(
        figures.trajectory_figure(record),
        inspection_text.TRAJECTORY,
        inspection_text.trajectory_table(record),
        "trajectory",
        alt="Rank and coefficient of the tracked tokens by layer, and the nearest token of each layer",
    )
    st.subheader("Where do mapped teacher and student differ?", anchor=False)
    if record.crossing is None:
        st.info(widgets.plain(record.why_not))
        return
    widgets.figure(
        figures.difference_figure(record.crossing),
        inspection_text.DIFFERENCES,
        inspection_text.difference_table(record.crossing),
        "differences",
        alt="Tokens whose coefficients differ most between mapped teacher and student, as bars around zero",
    )


def options(layers: tuple[int, int] | None) -> None:
    """The options for semantic bases, their effects, and the one in use."""
    st.subheader("Options for semantic bases", anchor=False)
    one, two, three = st.columns(3, vertical_alignment="bottom")
    with one:
        widgets.toggle("Fold the final norm's gain in", Param.GAIN, help="Use W diag(gain) instead of W.")
    with two:
        widgets.toggle("Apply the final norm to states", Param.NORM, help="As the model does for its last state.")
    with three:
        widgets.switch(
            "Ridge",
            inspection.RIDGES,
            Param.RIDGE,
            default=inspection.RIDGES[0],
            help="Added to W'W before inversion, relative to its mean eigenvalue; needed for a rank-deficient head.",
        )
    request = {**inspection.common(), **selection.prompts_request()}
    measured: BasisOptions | None = answered("basis_options", request, "The table")
    if measured is None:
        return
    for side, head in (("teacher", measured.teacher), ("student", measured.student)):
        st.markdown(widgets.plain(inspection_text.head_in_words(head, side)))
    teacher, student = layers or (measured.teacher.n_layers - 1, measured.student.n_layers - 1)
    st.table(
        inspection_text.options_shown(measured, inspection.basis_choice(), (teacher, student)),
        hide_index=True,
        border="horizontal",
    )
    st.caption(
        f"{inspection_text.OPTIONS} Teacher layer {teacher}, student layer {student}, last token of {measured.n} prompts, "
        f"{measured.draws} permutations. The map is not fitted, so every prompt is held out."
    )
    st.download_button(
        "CSV",
        lambda: exports.csv(inspection_text.options_table(measured, (teacher, student))),
        "basis-options.csv",
        "text/csv",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )


def show() -> None:
    widgets.head(
        "What does a state encode?",
        "The vocabulary tokens nearest to one token's state, layer by layer, in each model and mapped from teacher to student. Click a token.",
        words=("semantic basis", "logit lens", "control"),
    )
    with widgets.errors():
        name, request = selection.pair_name(), selection.pair_request()
        if problem := loaders.unavailable(name, request.get("teacher", ""), request.get("student", "")):
            st.warning(widgets.plain(problem), icon=":material/cloud_off:")
            return
        text, answer = inspection.text_choice()
        row, holder = st.container(), st.container()
        settings = advanced(answer)
        at = inspection.character(text)
        arguments = {
            **inspection.common(),
            **inspection.layers(),
            **asdict(inspection.basis_choice()),
            **settings,
            "text": text,
        }
        with holder:
            record: Inspection | None = answered(
                "inspect_token", arguments | ({} if at is None else {"at": at}), "The reading"
            )
        if record is not None:
            with row:
                token_rows(record)
            with holder:
                widgets.answer(inspection_text.inspected(record))
                st.markdown(widgets.plain(inspection_text.readings(record)))
            pictures(record)
        options(None if record is None else record.layers)


show()
