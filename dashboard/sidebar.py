"""The bar that is always there: pair, prompts, chosen layers, how activations are read, and what goes on.

These controls are drawn on every page, so that what is selected stays selected, and in the link, from page to page.
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
    """All shared controls; `here` is the page one is on."""
    state.remember_link(here)
    with st.sidebar:
        above, place = st.container(), st.container()
        with place:
            pinned()  # first: it may have to begin again, which must not lose what the others tell of the link
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
        help="The demo pair ships with the project; others come from the Hugging Face hub; custom is any two of your own.",
    )
    if name == selection.CUSTOM:
        folder = "A Hugging Face id such as Qwen/Qwen2.5-0.5B, or a local folder."
        widgets.line(
            "Teacher", Param.TEACHER, placeholder="hub id or folder", help=f"It gives and stays as it is. {folder}"
        )
        widgets.line(
            "Student", Param.STUDENT, placeholder="hub id or folder", help=f"It receives and changes. {folder}"
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
                f"auto: {default[0]} and {default[1]}, where the recorded runs worked; {by} say {teacher} and {student}"
            )
        else:
            st.caption(f"auto: {teacher} and {student}, by {by}")


def picked() -> None:
    """The prompts that are selected on every page."""
    widgets.line(
        "Picked prompts",
        Param.PICKED,
        placeholder="none",
        help="Numbers of prompts in their set, from 0. A click or lasso in the latent map fills this in; every page then shows these prompts. Empty it to pick none.",
        max_chars=None,
    )
    known = prompt_choice.facts()
    if vain := state.picked_in_vain(known["n"] if known else None):
        named = ", ".join(word[:20] for word in vain[:5]) + (" and others" if len(vain) > 5 else "")
        numbers = f"0 to {known['n'] - 1:,}" if known else "whole numbers from 0"
        st.info(widgets.plain(f"Picked prompts are {numbers}; passed over: {named}."))
    if chosen := state.picked():
        st.button(f"Clear {len(chosen)} picked", on_click=state.pick, args=([],), icon=":material/close:", key="unpick")


def pinned() -> None:
    """The pair of layers kept for comparison; one that cannot be is dropped with a notice."""
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
        st.info(widgets.plain(f"{given[:40]} is no pair of layers here, so nothing is pinned. A pin is {expected}."))
        state.pin(None)
    widgets.line(
        "Pinned layers",
        Param.PIN,
        placeholder="none",
        help="Teacher layer, a dot, student layer, such as 5.2: Alignment and the latent map show that pair beside the chosen one. The button is on Alignment, under A closer look. Empty it to pin none.",
    )
    if from_link:  # Streamlit gives a new control what the link said; only now can it be emptied
        st.rerun()


def advanced() -> None:
    widgets.choice(
        "Pooling",
        selection.POOLINGS,
        Param.POOLING,
        help="One vector a prompt: the mean over its tokens, its last token, or every token.",
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
        help="A few huge dimensions can own a similarity. clamp cuts entries at their 0.95 quantile, drop_top removes the three dimensions of largest variance, standardise brings all to one variance.",
    )
    widgets.toggle(
        "Skip position 0",
        Param.SKIP_FIRST,
        help="The first token often carries a massive activation that says nothing of the text.",
    )
    widgets.amount(
        "Prompts, at most", Param.N_PROMPTS, low=64, high=selection.most_prompts(), default=selection.N_PROMPTS, step=64
    )
    widgets.amount("Seed", Param.SEED, low=0, high=10**6, default=0, help="Draws prompts, permutations and controls.")
    widgets.choice(
        "Device",
        selection.DEVICES,
        Param.DEVICE,
        help="auto takes the first there is of cuda, mps, cpu; spread shares a model out over all cards.",
    )
    widgets.choice("Precision", selection.DTYPES, Param.DTYPE, help="auto: 32 bits on a CPU, 16 on a graphics card.")
    widgets.toggle("Measure again", Param.FRESH, help="Instead of showing the recorded comparison of the demo pair.")
    free_memory(len(loaders.engine().at_work()))


def release() -> None:
    """End what the engine does and forget what it holds; for callbacks."""
    try:
        loaders.engine().release()
    except widgets.PktError as error:
        state.tell(str(error), MEMORY)


def free_memory(at_work: int) -> None:
    """The button that ends both engine processes; asked again where that ends what somebody waits for."""
    label, icon = "Free the engine's memory", ":material/memory:"
    if sentence := state.told(MEMORY):
        st.info(widgets.plain(sentence))
    if not at_work:
        st.button(label, on_click=release, icon=icon, help="Forgets loaded models; results stay.")
        return
    with st.popover(label, icon=icon):
        going_on = "1 computation goes on" if at_work == 1 else f"{at_work} computations go on or wait"
        st.markdown(f"{going_on}, perhaps for another visitor. They would end; results that are there stay.")
        st.button("End them and free the memory", key="free-anyway", on_click=release, type="primary")
