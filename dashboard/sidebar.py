"""The sidebar: pair, prompts, chosen layers, how activations are read, and current activity.

These controls are drawn on every page, so that a selection stays in force, and in the link, from page to page.
"""

from __future__ import annotations

import streamlit as st

from dashboard import activity, loaders, prompt_choice, selection, state, widgets
from dashboard.params import Param

MEMORY = "memory"
ADVANCED = (
    Param.POOLING,
    Param.PART,
    Param.OUTLIERS,
    Param.SKIP_FIRST,
    Param.N_PROMPTS,
    Param.SEED,
    Param.DEVICE,
    Param.DTYPE,
    Param.FRESH,
)


def draw(here: str) -> None:
    """All shared controls; `here` is the current page."""
    state.remember_link(here)
    with st.sidebar:
        above, place = st.container(), st.container()
        with place:
            pinned()  # first: it may rerun the page, which must not lose the other controls' notices about the link
        with above:
            pair()
            layers()
            picked()
        with widgets.advanced(*ADVANCED):
            advanced()
        activity.draw()


def pair() -> None:
    name = widgets.choice(
        "Pair",
        selection.pair_choices(),
        Param.PAIR,
        help="The demo pair ships with the project; others come from the Hugging Face hub. Choose custom for any two of your own models.",
    )
    if name == selection.CUSTOM:
        folder = "A Hugging Face id such as Qwen/Qwen2.5-0.5B, or a local folder."
        widgets.line(
            "Teacher",
            Param.TEACHER,
            placeholder="hub id or folder",
            help=f"The source of knowledge; its weights stay frozen. {folder}",
        )
        widgets.line(
            "Student", Param.STUDENT, placeholder="hub id or folder", help=f"The model that is trained. {folder}"
        )
    prompt_choice.draw()


def layers() -> None:
    comparison = selection.recorded() or selection.compared()
    left, right = st.columns(2)
    with left:
        widgets.layer_choice("Teacher layer", comparison.teacher.n_layers if comparison else None, Param.TEACHER_LAYER)
    with right:
        widgets.layer_choice("Student layer", comparison.student.n_layers if comparison else None, Param.STUDENT_LAYER)
    if comparison:
        teacher, student = comparison.chosen
        by = f"{'attribution' if comparison.attribution else 'depth'} and pairing"
        if default := selection.own_layers():
            st.caption(
                f"auto: {default[0]} and {default[1]}, as in the recorded runs; {by} suggest {teacher} and {student}"
            )
        else:
            st.caption(f"auto: {teacher} and {student}, by {by}")


def picked() -> None:
    """The prompts that are selected on every page."""
    widgets.line(
        "Picked prompts",
        Param.PICKED,
        placeholder="none",
        help="Prompt numbers in the set, from 0. Filled in by a click or lasso in the latent map; every page then shows these prompts. Leave empty to pick none.",
        max_chars=None,
    )
    known = prompt_choice.facts()
    if vain := state.picked_in_vain(known.n if known else None):
        named = ", ".join(word[:20] for word in vain[:5]) + (" and others" if len(vain) > 5 else "")
        numbers = f"0 to {known.n - 1:,}" if known else "whole numbers from 0"
        st.info(widgets.plain(f"Picked prompts must be {numbers}. Ignored: {named}."))
    if chosen := state.picked():
        st.button(f"Clear {len(chosen)} picked", on_click=state.pick, args=([],), icon=":material/close:", key="unpick")


def pinned() -> None:
    """The pair of layers kept for comparison; one that these models do not have is dropped with a notice."""
    given = str(state.value(Param.PIN, "") or "").strip()
    comparison = selection.recorded() or selection.compared()
    deep = (comparison.teacher.n_layers, comparison.student.n_layers) if comparison else None
    layers = state.read_pin(given)
    bad = bool(given) and (layers is None or (deep is not None and not (layers[0] < deep[0] and layers[1] < deep[1])))
    from_link = bad and not state.held(Param.PIN)
    if from_link:
        state.unlink(Param.PIN)
    elif bad:
        expected = f"such as 5.2: teacher layer{f' 0 to {deep[0] - 1}' if deep else ''}, a dot, student layer{f' 0 to {deep[1] - 1}' if deep else ''}"
        st.info(
            widgets.plain(
                f"Got the pin {given[:40]}, which is no pair of layers here, so nothing is pinned. Expected one {expected}."
            )
        )
        state.pin(None)
    widgets.line(
        "Pinned layers",
        Param.PIN,
        placeholder="none",
        help="Teacher layer, a dot, student layer, such as 5.2. Alignment and the latent map show this pair beside the chosen one. Pin a pair on Alignment, under A closer look. Leave empty to pin none.",
    )
    if from_link:  # Streamlit fills a new control from the link; only now can it be emptied
        st.rerun()


def advanced() -> None:
    widgets.choice(
        "Pooling",
        selection.POOLINGS,
        Param.POOLING,
        help="mean: one vector per prompt, averaged over its tokens. last: its last token. tokens: every token is a sample.",
    )
    widgets.choice(
        "Site",
        selection.PARTS,
        Param.PART,
        help="block_out is the residual stream after a layer; block_delta is what the layer added.",
    )
    widgets.choice(
        "Outlier dimensions",
        selection.OUTLIERS,
        Param.OUTLIERS,
        help="A few dimensions of very large variance can dominate a similarity. clamp: cut entries at their 0.95 quantile. drop_top: remove the three dimensions of largest variance. standardise: give every dimension unit variance.",
    )
    widgets.toggle(
        "Skip position 0",
        Param.SKIP_FIRST,
        help="The first token often carries a massive activation that is unrelated to the text.",
    )
    widgets.amount(
        "Maximum prompts", Param.N_PROMPTS, low=64, high=selection.most_prompts(), default=selection.N_PROMPTS, step=64
    )
    widgets.amount(
        "Seed",
        Param.SEED,
        low=0,
        high=10**6,
        default=0,
        help="For the random draws of prompts, permutations and controls.",
    )
    widgets.choice(
        "Device",
        selection.DEVICES,
        Param.DEVICE,
        help="auto: the first available of cuda, mps and cpu. spread: split a model over all GPUs.",
    )
    widgets.choice("Precision", selection.DTYPES, Param.DTYPE, help="auto: 32 bits on a CPU, 16 on a GPU.")
    widgets.toggle(
        "Measure again",
        Param.FRESH,
        help="Compute the demo pair's comparison here instead of showing the recorded one.",
    )
    free_memory(len(loaders.engine().at_work()))


def release() -> None:
    """End the engine's computations and free its memory; for callbacks."""
    try:
        loaders.engine().release()
    except widgets.PktError as error:
        state.tell(str(error), MEMORY)


def free_memory(at_work: int) -> None:
    """The button that ends both engine processes; it asks for confirmation while computations are running or waiting."""
    label, icon = "Free the engine's memory", ":material/memory:"
    if sentence := state.told(MEMORY):
        st.info(widgets.plain(sentence))
    if not at_work:
        st.button(label, on_click=release, icon=icon, help="Unloads the models; results are kept.")
        return
    with st.popover(label, icon=icon):
        active = "1 computation is" if at_work == 1 else f"{at_work} computations are"
        st.markdown(
            f"{active} running or waiting, possibly for another visitor. Freeing the memory ends them; finished results are kept."
        )
        st.button("End them and free the memory", key="free-anyway", on_click=release, type="primary")
