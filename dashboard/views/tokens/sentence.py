"""Parts of the page Tokens: the ranked sentences, one of them coloured by token, and one token in detail.

Not covered: the request (`views/tokens/page.py`).
"""

from __future__ import annotations

import zlib
from typing import Any

import streamlit as st

from dashboard import figure_cache as figures
from dashboard import inspection, loaders, state, widgets
from dashboard.params import Param
from pkt_core.studies.inspection import text as inspection_text
from pkt_core.studies.inspection.record import Inspection
from pkt_core.studies.token_change import text as token_change_text
from pkt_core.studies.token_change.record import Sentence, TokenChange
from pkt_core.words import style

WORDS = {
    "kl": "Change",
    "bits": "Better or worse",
    "teacher": "Nearer the teacher",
    "js": "Change (JS)",
    "rank": "Rank",
    "entropy": "Surer or less sure",
    "agreement": "Top 5",
    "probability": "Probability",
}


def colour_choice() -> str:
    """The quantity that colours the tokens."""
    by_word = {word: key for key, word in WORDS.items()}
    meanings = "; ".join(f"{WORDS[key]}: {one.label}" for key, one in figures.COLOURINGS.items())
    return by_word[widgets.choice("Colour tokens by", list(by_word), Param.TOKEN_COLOUR, help=meanings)]


def ranking(record: TokenChange, only: bool) -> list[int]:
    """Sentences, most changed first; a click on a row opens it. Returns their numbers in that order."""
    table = token_change_text.ranked(record)
    if only:
        table = table[table["flips"] > 0]
    order = [int(number) for number in table["sentence"]]
    key = f"ranking-{zlib.crc32(str(order).encode())}"
    top = float(table["change"].max() or 1.0) if order else 1.0
    config = {
        "sentence": st.column_config.NumberColumn("No.", width=45),
        "text": st.column_config.TextColumn("Sentence", width=290),
        "verdict": st.column_config.TextColumn("Answer", width=150),
        "change": st.column_config.ProgressColumn("Change", min_value=0, max_value=top, format="%.2f", width=110, help="KL(before ‖ after), bits per token."),
        "bits": st.column_config.NumberColumn("Bits", format="%+.2f", width=60, help="Surprisal in bits per token, after − before. Negative: this text is predicted better."),
        "teacher": st.column_config.NumberColumn("To teacher", format="%+.2f", width=85, help="KL(teacher ‖ student), bits per token, after − before. Negative: closer to the teacher."),
        "teacher_bits": st.column_config.NumberColumn("Teacher", format="%.2f", width=70, help="The teacher's surprisal in bits per shared span of text."),
        "flips": st.column_config.NumberColumn("Flips", width=75, help="Tokens at which the most likely next token changed."),
        "tokens": st.column_config.NumberColumn("of", width=40, help="Predicted tokens."),
        "task": st.column_config.TextColumn("Task", width=150),
    }  # fmt: skip
    if not any(table["verdict"]):
        table = table.drop(columns=["verdict", "task"])
    st.dataframe(
        table, hide_index=True, height=248, column_config=config, key=key, selection_mode="single-row",
        on_select=lambda: state.look_at_sentence(key, order, record.run), alt="Sentences ranked by how much the student changed on them",
    )  # fmt: skip
    st.caption(f"{len(order)} of {len(record.sentences)} texts. {token_change_text.RANKED}")
    return order


def chosen_sentence(record: TokenChange, order: list[int]) -> Sentence:
    """The sentence from the link or a click, else the most changed one."""
    last = len(record.sentences) - 1
    held = state.whole(Param.SENTENCE, order[0] if order else 0, 0, last)
    named = state.value(Param.SENTENCE)
    if named is not None and str(named) != str(held):
        st.info(widgets.plain(f"Got sentence {named}; expected 0 to {last}. Showing {held}."))
    return record.sentences[held]


def chosen_token(sentence: Sentence) -> int:
    """The token from the link or a click, else the most changed one."""
    moved = sentence.change.kl
    most = max(range(len(moved)), key=moved.__getitem__) + 1
    return state.whole(Param.TOKEN, most, 1, len(moved))


def in_colour(run_id: str, sentence: Sentence, measure: str, token: int) -> None:
    """The text with its tokens coloured; a click chooses one."""
    name = f"sentence-{sentence.id}-{zlib.crc32(sentence.text.encode())}"
    widgets.figure(
        figures.sentence_figure(sentence, measure, token), token_change_text.SENTENCE, token_change_text.tokens_table(sentence), name,
        alt="The chosen sentence, each token coloured by the chosen quantity", on_select=lambda: state.look_at_its_token(f"figure-{name}", run_id),
    )  # fmt: skip
    if sentence.spans is not None:
        st.dataframe(
            token_change_text.spans_table(sentence), hide_index=True, height=220, alt="Surprisal of each model for each shared span of text, in bits",
            column_config={name: st.column_config.NumberColumn(format="%.2f") for name in ("teacher", "before", "after", "change")},
        )  # fmt: skip
        st.caption(token_change_text.SPANS)


def closely(sentence: Sentence, token: int) -> None:
    """The next-token distributions of all models at one token."""
    came = style.visible(sentence.tokens[token][0], 40)
    st.subheader(widgets.plain(f"Predicted tokens at the position of “{came}”"), anchor=False)
    widgets.figure(
        figures.next_figure(sentence, token), token_change_text.NEXT, token_change_text.next_table(sentence, token), "next-tokens",
        alt="Most likely next tokens of teacher, student before and student after, with probabilities",
    )  # fmt: skip


def pair_of(plan: dict[str, Any]) -> dict[str, str]:
    """The run's models as parameters of the link."""
    names = {side: str(plan[side]["name"]) for side in ("teacher", "student")}
    for name, pair in loaders.pair_names().items():
        if (pair.teacher.name, pair.student.name) == (names["teacher"], names["student"]):
            return {Param.PAIR.value: name}
    return {Param.PAIR.value: "custom", Param.TEACHER.value: names["teacher"], Param.STUDENT.value: names["student"]}


def layers(run: Any, sentence: Sentence, token: int) -> None:
    """Layers whose nearest vocabulary token changed at the position that predicts the chosen token, with a button to the Inspector."""
    st.subheader("Which layers changed their nearest token there?", anchor=False)
    _, start, end = sentence.tokens[token - 1]
    if end <= start:
        st.caption(
            "Only the beginning-of-text token precedes this one, and the Inspector cannot show it. Choose a later token."
        )
        return
    pair, at = pair_of(run.plan()), end - 1
    ships = loaders.ships(pair[Param.PAIR.value])
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        read_layers = widgets.toggle(
            "Read the layers", Param.LAYERS_SAID, default=ships, help="Loads the models and computes their semantic bases: seconds for small ones, minutes for large ones."
        )  # fmt: skip
    args = (pair, sentence.text, at, run.id)
    if right.button(
        "Open in the Inspector", key="inspect", icon=":material/search:", on_click=state.open_inspector, args=args
    ):
        # The callback sets the values shown, but only those passed here enter the new link; without both, Streamlit
        # does not leave a link that controls are bound to.
        new = {Param.TEXT.value: sentence.text, Param.AT.value: str(at)}
        st.switch_page("views/inspector/page.py", query_params=new)
    if not read_layers:
        return
    came = sentence.tokens[token][0].strip()
    request = {**pair, "text": sentence.text, "at": at, "k": 3, "anchor": came, "run": run.id, "device": "auto", "dtype": "auto"}  # fmt: skip
    task = loaders.ask("inspect_token", request)
    read: Inspection | None = widgets.result(
        loaders.soon(task), "The layers", lambda: inspection.begin("inspect_token", request)
    )
    if read is None or read.after is None:
        return
    table = inspection_text.layers_table(read)
    st.markdown(widgets.plain(inspection_text.layers_changed(read, int(table["changed"].sum()))))
    names = {"layer": "Layer (from 0)", "changed": "Changed", "before": "Before", "after": "After"}
    names |= {"before_cosine": "cosine before", "after_cosine": "cosine after", "rank_before": f"Rank of “{came}” before", "rank_after": "rank after"}  # fmt: skip
    config = {shown: st.column_config.NumberColumn(shown, format="%.2f") for name, shown in names.items() if "cosine" in name}  # fmt: skip
    st.dataframe(table.rename(columns=names), hide_index=True, column_config=config, alt="Nearest vocabulary token of each layer before and after")  # fmt: skip
    st.caption(inspection_text.LAYERS)


def confidence(record: TokenChange) -> None:
    """Whether the models' confidence matches their accuracy."""
    st.subheader("Calibration", anchor=False)
    calibration = record.calibration
    st.markdown(widgets.plain(token_change_text.calibration(calibration)))
    widgets.figure(
        figures.reliability_figure(calibration), token_change_text.RELIABILITY, token_change_text.calibration_table(calibration), "reliability",
        alt="Accuracy against confidence for student before, student after and teacher, with 95 % intervals",
    )  # fmt: skip
    st.dataframe(
        token_change_text.calibration_shown(calibration), hide_index=True, alt="Calibration errors of each model"
    )
    st.caption(
        "ECE: expected calibration error over 10 bins, 0 is best. Brier: mean squared error of confidence, 0 is best."
    )
