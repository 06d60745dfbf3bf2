"""Make it flow: plan a transfer, see what it will cost, start it, watch it, stop it; found again after a reload by the link."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import loaders, run_parts, selection, state, widgets
from dashboard.state import Param
from pkt_core.report import captions, figures, tables

METHODS = {
    "semalign-v1": "Pull one student layer towards the teacher's, through the semantic map, with labels (SemAlign v1).",
    "sft": "Plain fine-tuning with labels and no teacher: the comparison to beat.",
    "logit-kd": "Learn the teacher's next-token distribution, without labels.",
}
CONTROLS: dict[str, dict[str, Any]] = {
    "none": {},
    "shuffled vocabulary": {"map": "permuted"},
    "random bases": {"map": "random"},
    "layer term only": {"output_weight": 0.0},
    "output term only": {"layer_weight": 0.0},
}
ADVANCED = (
    Param.ADAPTER,
    Param.SCOPE,
    Param.BATCH,
    Param.RATE,
    Param.PLAN_PART,
    Param.POSITIONS,
    Param.EXAMPLES,
    Param.N_EXAMPLES,
    Param.PLAN_SEED,
)
RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
RATE_NAMES = tuple(f"{rate:g}" for rate in RATES)


def form() -> dict[str, Any]:
    """The settings of a plan, each bound to the link."""
    method = widgets.switch("Method", tuple(METHODS), Param.METHOD, default="semalign-v1")
    st.caption(METHODS[method])
    one, two = st.columns(2)
    with one:
        control = "none"
        if method == "semalign-v1":
            control = widgets.choice(
                "Control",
                tuple(CONTROLS),
                Param.CONTROL,
                help="The same transfer with its meaning, or one of its terms, removed.",
            )
    with two:
        steps = widgets.amount("Steps", Param.STEPS, low=1, high=100_000, default=300, step=50)
    settings: dict[str, Any] = {"method": method, "steps": steps, **CONTROLS[control]}
    for name, param in (("teacher_layer", Param.TEACHER_LAYER), ("student_layer", Param.STUDENT_LAYER)):
        if (layer := state.whole(param, -1, 0, 10_000)) >= 0:  # auto leaves the choice to attribution and pairing
            settings[name] = layer
    return settings | advanced()


def advanced() -> dict[str, Any]:
    with widgets.advanced(*ADVANCED):
        one, two, three, four = st.columns(4)
        with one:
            adapter = widgets.choice(
                "What is adapted",
                ("full", "lora"),
                Param.ADAPTER,
                help="All weights of what trains, or LoRA of rank 16.",
            )
            scope = widgets.choice(
                "What trains", ("layer", "all"), Param.SCOPE, help="The one paired student layer, or all of them."
            )
        with two:
            batch = widgets.amount("Batch size", Param.BATCH, low=1, high=1024, default=32)
            rate = widgets.choice("Learning rate", RATE_NAMES, Param.RATE, default="0.001")
        with three:
            part = widgets.choice("Matched site", ("block_delta", "block_out", "attn_out", "mlp_out"), Param.PLAN_PART)
            positions = widgets.choice(
                "Matched positions", ("answer", "all"), Param.POSITIONS, help="Those that predict the answer, or all."
            )
        with four:
            examples = widgets.line(
                "Examples",
                Param.EXAMPLES,
                placeholder="those of the pair",
                help="A .jsonl or .csv file with prompt and answer.",
            )
            n = widgets.amount("Examples, at most (0: all)", Param.N_EXAMPLES, low=0, high=10**6, default=0, step=100)
            seed = widgets.amount("Seed", Param.PLAN_SEED, low=0, high=10**6, default=0)
    return {
        "adapter": adapter,
        "scope": scope,
        "batch_size": batch,
        "learning_rate": float(rate),
        "part": part,
        "positions": positions,
        "data": examples or None,
        "n_examples": n or None,
        "seed": seed,
    }


def cost(settings: dict[str, Any], found: dict[str, Any] | None) -> str:
    """What the plan will take, in words, from the pace of finished runs of the same models."""
    trains = "all student layers" if settings["scope"] == "all" else "one student layer"
    through = " through LoRA" if settings["adapter"] == "lora" else ""
    where = f" on {found['student']['device']}" if found else ""
    work = f"{settings['steps']} steps of {settings['batch_size']} examples train {trains}{through}{where}"
    pace = run_parts.pace(loaders.plan_of({**selection.pair_request(), **settings}))
    if pace is None:
        return f"{work}; these two have no finished run here yet, so how long it takes shows after a few steps."
    training = pace.seconds_per_step * settings["steps"] * settings["batch_size"] / pace.batch_size
    total = widgets.spent(training + pace.around)
    return f"About {total}: {work} ({widgets.spent(training)}), the rest measures behaviour. Pace of run {pace.run}."


def layers_in_words(found: dict[str, Any] | None, settings: dict[str, Any]) -> str:
    """Which layer will teach which."""
    names = ("teacher_layer", "student_layer")
    picked = [settings.get(name) for name in names]
    if found is not None:
        picked = [given if given is not None else auto for given, auto in zip(picked, found["chosen"], strict=True)]
    by = (
        "chosen in the bar at the left"
        if any(name in settings for name in names)
        else "chosen by attribution and pairing"
    )
    if picked == [None, None]:
        return "Attribution will pick the teacher layer when the run starts, and the pairing its student layer."
    teacher, student = ("to be paired" if layer is None else layer for layer in picked)
    return f"Teacher layer {teacher} teaches student layer {student}, {by}."


def start(settings: dict[str, Any]) -> None:
    """Start the run and make it the one the link names; errors wait for the page to be drawn."""
    try:
        run_id = loaders.launch(loaders.plan_of(settings))
    except widgets.PktError as error:
        state.tell(str(error))
        return
    state.open_run(run_id)


def plan() -> None:
    found = selection.recorded() or selection.compared()
    settings = form()
    if found is None:
        st.caption("This pair is not compared yet; compare it on Alignment to choose the layers by eye.")
    st.caption(layers_in_words(found, settings))
    everything = {**selection.pair_request(), **settings}
    with widgets.errors():
        widgets.answer(cost(settings, found))
        st.button(
            "Start the transfer",
            type="primary",
            key="start",
            icon=":material/play_arrow:",
            on_click=start,
            args=(everything,),
        )
        if sentence := state.told():
            st.error(widgets.plain(sentence), icon=":material/error:")
        with st.expander("The same from a terminal"):
            st.code(loaders.command_of(loaders.plan_of(everything)), language="bash", wrap_lines=True)


def watch() -> None:
    """The chosen run, drawn every second while it runs."""
    st.subheader("Watch", anchor=False)
    chosen = run_parts.run_choice("Run", running_first=True)
    if chosen is None:
        widgets.empty(
            "No run yet", "Start a transfer above; it runs in a process of its own and stays when you close the page."
        )
        return
    over = run_parts.is_over(chosen)

    @st.fragment(run_every=None if over else 1.0)
    def live() -> None:
        with widgets.errors():
            opened = loaders.run(chosen)
            status = opened.status()
            if not over and status.state not in ("queued", "running"):
                st.rerun()
            run_parts.status_line(opened, status)
            steps = [event for event in opened.events() if event.get("kind") == "step"]
            if steps:
                note = f" Every {-(-len(steps) // 600)}th step is drawn." if len(steps) > 600 else ""
                widgets.figure(
                    figures.training_figure(steps), captions.TRAINING + note, tables.steps_table(steps), "training",
                    alt="Loss terms and alignment by training step",
                )  # fmt: skip

    live()
    if over and run_parts.has_results(loaders.run(chosen).folder):
        st.page_link("views/behaviour.py", label="What changed? See its behaviour", icon=":material/quiz:")


def show() -> None:
    widgets.head(
        "Make it flow",
        "Teach the student through the teacher's activations, or by a rival method, and watch it happen.",
    )
    with widgets.errors():
        if problem := loaders.unavailable(
            selection.pair_name(), *(str(state.value(p, "") or "") for p in (Param.TEACHER, Param.STUDENT))
        ):
            st.warning(widgets.plain(problem), icon=":material/cloud_off:")
        else:
            plan()
        watch()


show()
