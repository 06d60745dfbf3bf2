"""The part of the sidebar where prompts are chosen: a bundled set, lines of one's own, a file, or a Hugging Face dataset.

What is chosen is in the link. An uploaded file is kept in the cache under a name made of its content, and the link has
that name; a file given by its path is read again when it changed.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import loaders, selection, state, widgets
from dashboard.params import Param

UPLOAD = "uploaded-prompts"


def draw() -> None:
    """The controls, and what was found."""
    chosen = widgets.choice(
        "Prompts",
        selection.prompt_choices(),
        Param.PROMPTS,
        default=selection.own_prompts(),
        help="Both models read these; similarity and maps are measured on them.",
    )
    if chosen == selection.OWN_LINES:
        st.text_area("One prompt a line, 64 at least", key=Param.LINES.value, bind=widgets.BIND, max_chars=6000)
    elif chosen == selection.FILE:
        file()
    elif chosen == selection.DATASET:
        widgets.line(
            "Dataset",
            Param.DATASET,
            placeholder="hf:OWNER/NAME,split=test",
            help="A dataset of the Hugging Face hub, or a folder as hf:./folder. Add config=, split=, text= (the column), rows= or cut= (characters a prompt) after commas. Its first 5,000 rows are read, once for each version.",
        )
    count()


def file() -> None:
    """A file by upload or by path; both end in the same box."""
    st.file_uploader(
        "Upload prompts",
        type=["txt", "jsonl", "csv"],
        key=UPLOAD,
        on_change=keep,
        max_upload_size=50,
        help="txt: a prompt a line. jsonl: objects with text. csv: a column text. Other fields become labels, which colour the latent map.",
    )
    if sentence := state.told(UPLOAD):
        st.error(widgets.plain(sentence), icon=":material/error:")
    widgets.line(
        "or its path",
        Param.PROMPT_FILE,
        placeholder="prompts.jsonl",
        help="On the machine where the app runs. An upload fills in the name under which it is kept here.",
    )


def keep() -> None:
    """Keep what was uploaded and choose it; for the callback."""
    state.keep_upload(UPLOAD, Param.PROMPT_FILE, loaders.keep_prompts)


def facts() -> dict[str, Any] | None:
    """Size and labels of the chosen set; None where only the hub knows, or nobody."""
    name = selection.prompts_request().get("prompts", "")
    return None if name.startswith("hf:") else loaders.prompt_facts(name)


def count() -> None:
    """How many prompts there are, which labels they carry, and whether they are enough for a grid, where that is known."""
    request = selection.comparison_request()
    named = {key: request[key] for key in ("prompts", "lines") if key in request}
    if str(named.get("prompts", "")).startswith("hf:"):
        return
    counted, problem = loaders.prompt_count(request["pooling"], **named)
    if counted:
        labels = ", ".join((facts() or {"labels": []})["labels"])
        st.caption(widgets.plain(f"{counted}; {f'labels: {labels}' if labels else 'no labels'}."))
    if problem:
        st.warning(widgets.plain(problem), icon=":material/warning:")
