"""The part of the sidebar where prompts are chosen: a bundled set, typed lines, a file, or a Hugging Face dataset.

The choice is in the link. An uploaded file is stored in the cache under a digest of its content, and the link holds that name; a
file given by its path is read again when it changes.
"""

from __future__ import annotations

import streamlit as st

from dashboard import loaders, selection, state, widgets
from dashboard.params import Param

UPLOAD = "uploaded-prompts"


def draw() -> None:
    """The controls, and the number of prompts."""
    chosen = widgets.choice(
        "Prompts",
        selection.prompt_choices(),
        Param.PROMPTS,
        default=selection.own_prompts(),
        help="Both models read these prompts; similarities and maps are computed on them.",
    )
    if chosen == selection.OWN_LINES:
        st.text_area("One prompt per line, at least 64", key=Param.LINES.value, bind=widgets.BIND, max_chars=6000)
    elif chosen == selection.FILE:
        file()
    elif chosen == selection.DATASET:
        widgets.line(
            "Dataset",
            Param.DATASET,
            placeholder="hf:OWNER/NAME,split=test",
            help="A dataset of the Hugging Face hub, or a folder as hf:./folder. Add config=, split=, text= (the column), rows= or cut= (characters per prompt) after commas. The first 5,000 rows are read, once per version.",
        )
    count()


def file() -> None:
    """A file by upload or by path; both fill the same control."""
    st.file_uploader(
        "Upload prompts",
        type=["txt", "jsonl", "csv"],
        key=UPLOAD,
        on_change=keep,
        max_upload_size=50,
        help="txt: one prompt per line. jsonl: objects with the field text. csv: a column text. Other fields become labels, which colour the latent map.",
    )
    if sentence := state.told(UPLOAD):
        st.error(widgets.plain(sentence), icon=":material/error:")
    widgets.line(
        "or its path",
        Param.PROMPT_FILE,
        placeholder="prompts.jsonl",
        help="On the machine where the app runs. An upload fills in the name of its stored copy.",
    )


def keep() -> None:
    """Store the uploaded file and select it; for the callback."""
    state.keep_upload(UPLOAD, Param.PROMPT_FILE, loaders.keep_prompts)


def facts() -> loaders.PromptFacts | None:
    """Size and labels of the chosen set; None where they are not known here."""
    name = selection.prompts_request().get("prompts", "")
    return None if name.startswith("hf:") else loaders.prompt_facts(name)


def count() -> None:
    """The number of prompts, their labels, and whether they suffice for a similarity grid, where that is known."""
    request = selection.comparison_request()
    named = {key: request[key] for key in ("prompts", "lines") if key in request}
    if str(named.get("prompts", "")).startswith("hf:"):
        return
    counted, problem = loaders.prompt_count(request["pooling"], **named)
    if counted:
        known = facts()
        labels = ", ".join(known.labels) if known else ""
        st.caption(widgets.plain(f"{counted}; {f'labels: {labels}' if labels else 'no labels'}."))
    if problem:
        st.warning(widgets.plain(problem), icon=":material/warning:")
