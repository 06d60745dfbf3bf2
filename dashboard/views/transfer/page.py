"""Transfer: plan one, see its expected cost, queue it alone or as a family, watch, stop and resume it; the link reopens it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import loaders, pulse, run_actions, run_widgets, selection, state, widgets
from dashboard.engine.client import Task
from dashboard.params import Param
from dashboard.views.transfer import family_form, plan_choices, plan_form, stacks
from dashboard.views.transfer import queue as transfer_queue
from pkt_core.errors import LayerNotFound
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.studies.behaviour.figures import training_figure
from pkt_core.transfer.record import PlanNeeds
from pkt_core.words import style

GIB = 2**30


def work_of(plan: Any) -> str:
    """What the plan does, in words."""
    if not plan.trains:
        return "one layer's output is changed in closed form"
    trains = (
        "all student layers"
        if plan.every_block
        else "the paired student layers"
        if plan.n_pairs != 1 or "," in plan.layer_pairs
        else "one student layer"
    )
    through = " through LoRA" if plan.as_adapter else ""
    return f"{plan.steps} steps of {plan.batch_size} examples train {trains}{through}"


def headline(plan: Any, pace: Any, needed: PlanNeeds | None) -> str:
    """Time and memory in one sentence."""
    time = (
        f"About {widgets.spent(run_widgets.expected_seconds(plan, pace))}"
        if pace
        else "The time is estimated after a few steps"
    )
    if needed is None:
        return f"{time}."
    memory = f"needs about {style.memory(needed.memory / GIB)} of memory"
    return f"{time}; {memory}, this device has {style.memory(needed.free / GIB)} free."


def particulars(plan: Any, pace: Any, needed: PlanNeeds | None) -> str:
    """The basis of the headline's numbers."""
    sentences = [f"{work_of(plan)[0].upper()}{work_of(plan)[1:]}."]
    if pace:
        sentences.append(f"Pace of run {pace.run}; {widgets.spent(pace.around)} of it for targets and evaluation.")
    if needed:
        sentences.append(f"{needed.sentence} Device: {needed.device}.")
    return " ".join(sentences)


def cost(plan: Any, task: Task) -> None:
    """Expected time and memory of the plan; a warning where it does not fit."""
    pace, needed = run_widgets.pace(plan), task.record if task.status == "done" else None
    widgets.answer(headline(plan, pace, needed))
    st.caption(widgets.plain(particulars(plan, pace, needed)))
    if task.status == "failed":
        what = "Its memory could not be estimated because of a fault in the program: " if task.fault else ""
        st.warning(widgets.plain(f"{what}{task.error}"), icon=":material/warning:")
    elif needed and needed.refused:
        st.warning(widgets.plain(needed.refused), icon=":material/memory:")


def start(plan: Any) -> None:
    """Queue the run and select it in the link; an error is shown when the page is drawn."""
    try:
        run_id = run_actions.launch(plan)
    except widgets.PktError as error:
        state.tell(str(error))
        return
    state.open_run(run_id)


def plan() -> None:
    settings, places = plan_form.draw()
    plan_form.typed(key="typed")
    with widgets.errors():
        base = loaders.plan_of({**selection.pair_request(), **settings})
        with places.control:
            chosen = plan_choices.controlled(base, plan_choices.control(base))
        above = st.container()
        family = family_form.draw(
            base
        )  # also while the control is computed: controls that are not drawn leave the link
        if chosen is None:
            return
        needs = loaders.ask("plan_needs", {"plan": chosen.model_dump(mode="json")})
        layers(places, chosen, needs)
        members = loaders.soon(loaders.ask("family_members", family), 0.6)  # requested later, so it arrives last
        with above:
            go(chosen, needs, members)
        with st.expander("The same from a terminal"):
            st.code(loaders.command_of(chosen), language=None, wrap_lines=True)


def layers(places: plan_form.Places, chosen: Any, needs: Task) -> None:
    """The pairing of layers in words and as an editable figure, where the method pairs layers."""
    from pkt_core.transfer.method import method_of

    comparison = plan_choices.found_layers()
    attribution = comparison.attribution if comparison else None
    worked_out = needs.record.n_layers if needs.status == "done" else None
    facts = {side: of.n_layers for side, of in comparison.models.items()} if comparison else worked_out
    depths = (facts["teacher"], facts["student"]) if facts and chosen.pairs_layers else None
    pairs: Any = ()
    known = attribution is not None or not chosen.leaves_layers_open or chosen.n_pairs == 0
    with places.layers:
        try:
            if depths and known:
                pairs, _ = plan_choices.paired(chosen, *depths, attribution)
            st.markdown(widgets.plain(plan_choices.layers_in_words(comparison, chosen)))
        except LayerNotFound as error:  # the editable figure stays visible
            st.error(widgets.plain(str(error)))
    if depths is None:
        return
    with places.stacks:
        stacks.draw(*depths, pairs, attribution)
    with places.layers:
        if pairs and not method_of(chosen).layers:
            st.caption("The line shows the teacher layer used to measure alignment.")
        stacks.beside()


def go(chosen: Any, needs: Task, members: Task) -> None:
    """The expected cost, and the two buttons that start it."""
    cost(chosen, needs)
    # Memory may be free when the run starts; a plan that contradicts itself or its models can only fail.
    refused = needs.error if needs.status == "failed" and not needs.fault else None
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Start the transfer",
            type="primary",
            key="start",
            icon=":material/play_arrow:",
            on_click=start,
            args=(chosen,),
            disabled=refused is not None,
            help="If another run is active, this one waits in the queue."
            if refused is None
            else widgets.plain(refused),
        )
        family_form.button(members)
    st.caption(widgets.plain(family_form.in_words(members)))
    widgets.until_over("Memory and family members are being computed; you can start without them.", needs, members)
    if sentence := state.told():
        st.error(widgets.plain(sentence), icon=":material/error:")


def watched() -> tuple[str, str] | None:
    """Names of the two chosen models; None where they form no valid pair."""
    try:
        plan = loaders.plan_of(selection.pair_request())
    except widgets.PktError:
        return None
    return plan.teacher.name, plan.student.name


def comes_first(models: tuple[str, str] | None) -> bool:
    """Whether to show the run first: the link names one made here, or one of these two models is running."""
    named = state.value(Param.RUN, state.AUTO)
    at_work = any(run_widgets.models(run.plan) == models for run in transfer_queue.running())
    return at_work or any(run.id == named and not run.recorded for run in loaders.runs())


def watch(models: tuple[str, str] | None) -> None:
    """The chosen run and the queue, redrawn while anything is active."""
    st.subheader("Watch", anchor=False)
    chosen = run_widgets.run_choice("Run", running_first=True, of=models)
    if chosen is None:
        widgets.empty(
            "No run yet", "Start a transfer here. It runs in a separate process and continues when you close the page."
        )
        return
    over, queue = run_widgets.is_over(chosen), transfer_queue.seen()

    def changed() -> bool:
        return (run_widgets.is_over(chosen), transfer_queue.seen()) != (over, queue)

    def draw() -> None:
        with widgets.errors():
            opened = loaders.run(chosen)
            run_widgets.status_line(opened, opened.status())
            steps = opened.steps()
            if steps:
                widgets.figure(
                    training_figure(steps), behaviour_text.training(steps), behaviour_text.steps_table(steps), "training",
                    alt="Loss terms and alignment by training step",
                )  # fmt: skip
        transfer_queue.draw()

    if over and not queue[0]:
        draw()
    else:
        pulse.live(draw, changed)
    if over and run_widgets.is_measured(loaders.run(chosen)):
        st.page_link("views/behaviour/page.py", label="See its behaviour", icon=":material/quiz:")


def show() -> None:
    widgets.head(
        "Run a transfer",
        "Train the student on the teacher's activations, or by a rival method, and follow the run.",
        words=("attribution", "pairing", "semantic basis", "95 % interval", "LoRA", "distillation", "control"),
    )
    with widgets.errors():
        models = watched()
        above, below = st.container(), st.container()
        first = comes_first(models)
        planned, followed = (below, above) if first else (above, below)
        with planned:
            if first:
                st.subheader("Plan another transfer", anchor=False)
            if problem := loaders.unavailable(
                selection.pair_name(), *(str(state.value(p, "") or "") for p in (Param.TEACHER, Param.STUDENT))
            ):
                st.warning(widgets.plain(problem), icon=":material/cloud_off:")
            else:
                with st.container(key="plan"):
                    plan()
        with followed:
            watch(models)


show()
