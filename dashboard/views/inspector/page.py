"""What does a state mean? One token of one text: each layer in words, teacher beside student, and from one to the other."""

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
    """The same names, repeated ones told apart by spaces of no width: Streamlit knows an option by what it is called."""
    return [name + "\u200b" * names[:i].count(name) for i, name in enumerate(names)]


def token_row(label: str, reader: Reader, text: str) -> None:
    """The text as one model cuts it; a click chooses the token."""
    names = apart([widgets.plain(style.visible(name, 24)) for name, _, _ in reader.tokens])
    ends = [end for _, _, end in reader.tokens]
    # A row belongs to one text and one choice: with another it is a new one that starts at the token chosen now.
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


def token_rows(found: Inspection) -> None:
    """One row of tokens where both models cut alike, else one each."""
    if found.teacher.tokens == found.student.tokens:
        token_row("Token", found.teacher, found.text)
        return
    token_row("As the teacher cuts it", found.teacher, found.text)
    token_row("As the student cuts it", found.student, found.text)
    st.caption("The two tokens that cover the chosen character are compared; nothing is matched by position or id.")


def advanced(answer: str) -> dict[str, Any]:
    """Knobs with good defaults."""
    with st.expander("Advanced"):
        one, two, three, four = st.columns(4)
        with one:
            k = widgets.amount("Tokens a layer", Param.TOP_K, low=1, high=10, default=5)
        with two:
            anchor = widgets.line(
                "Follow a word",
                Param.ANCHOR,
                placeholder=answer or "none",
                help="Its first token is followed through the layers, beside what the models predict. Empty: the prompt's answer, where its set has one.",
            )
        with three:
            run = inspection.run_choice()
        with four:
            widgets.place(
                "Character",
                Param.AT,
                auto="last",
                help="The token that covers this character, from 0, is read. A click on a token sets it.",
            )
    return {"k": k, "anchor": anchor or answer, "run": run}


def answered(function: str, request: dict[str, Any], what: str) -> Any:
    """A computation's record; None while its progress, error or start button is on the page."""
    task = loaders.ask(function, request) if inspection.may_start(function) else loaders.known(function, request)
    if task is None:
        loaders.engine().warm()
        widgets.empty("Not read yet", "Reading loads both models: seconds for small ones, minutes for large ones.")
        st.button(
            "Read",
            type="primary",
            key=f"start-{function}",
            icon=":material/play_arrow:",
            on_click=inspection.begin,
            args=(function, request),
        )
        return None
    return widgets.result(loaders.soon(task), what, lambda: loaders.ask(function, request, again=True))


def pictures(found: Inspection) -> None:
    """Readings, ways through the layers, differences."""
    st.subheader("What does each layer say?", anchor=False)
    widgets.figure(
        figures.reading_figure(found),
        inspection_text.READING,
        inspection_text.reading_table(found),
        "readings",
        alt="Nearest tokens by layer for teacher, student, carried teacher and control",
    )
    if found.teacher.lens:
        with st.expander("What the logit lens says", icon=":material/table:"):
            st.dataframe(inspection_text.lens_table(found), hide_index=True, alt="Logit lens by layer")
            st.caption(
                "The next token if this layer were the last one: its state through the final norm and the head, with probabilities."
            )
    st.subheader("Where does the word come in?", anchor=False)
    widgets.figure(
        figures.trajectory_figure(found),
        inspection_text.TRAJECTORY,
        inspection_text.trajectory_table(found),
        "trajectory",
        alt="Rank and coefficient of the followed tokens by layer, and the nearest token of each layer",
    )
    st.subheader("Where do the two readings differ?", anchor=False)
    if found.crossing is None:
        st.info(widgets.plain(found.why_not))
        return
    widgets.figure(
        figures.difference_figure(found.crossing),
        inspection_text.DIFFERENCES,
        inspection_text.difference_table(found.crossing),
        "differences",
        alt="Tokens whose coefficients differ most between carried teacher and student, as bars around zero",
    )


def options(layers: tuple[int, int] | None) -> None:
    """How bases may be made, what each way does, and which one this page uses."""
    st.subheader("How are the bases made?", anchor=False)
    one, two, three = st.columns(3, vertical_alignment="bottom")
    with one:
        widgets.toggle("Fold the final norm's gain in", Param.GAIN, help="Bases of W diag(gain) instead of W.")
    with two:
        widgets.toggle("Apply the final norm to states", Param.NORM, help="As the model does with its last state.")
    with three:
        widgets.switch(
            "Ridge",
            inspection.RIDGES,
            Param.RIDGE,
            default=inspection.RIDGES[0],
            help="Added to W'W before it is inverted, relative to its mean eigenvalue; needed where a head lacks rank.",
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
        f"{measured.draws} permutations; the map is fitted to nothing, so every prompt is held out."
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
        "What does a state mean?",
        "One token's states, layer by layer, in each model's own words, and the teacher's in the student's. Click a token.",
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
        asked = {
            **inspection.common(),
            **inspection.layers(),
            **asdict(inspection.basis_choice()),
            **settings,
            "text": text,
        }
        with holder:
            found: Inspection | None = answered(
                "inspect_token", asked | ({} if at is None else {"at": at}), "The reading"
            )
        if found is not None:
            with row:
                token_rows(found)
            with holder:
                widgets.answer(inspection_text.inspected(found))
                st.markdown(widgets.plain(inspection_text.readings(found)))
            pictures(found)
        options(None if found is None else found.layers)


show()
