"""A chain of latent spaces side by side: teacher, student before and after a run, or layer after layer; and prompts that moved."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import exports, loaders, run_widgets, selection, state, widgets
from dashboard import figure_cache as figures
from dashboard.params import Param
from dashboard.views.latent_map import panel as latent_map_panel
from dashboard.views.latent_map import pinned as latent_map_pinned
from pkt_core.studies.comparison.record import Comparison
from pkt_core.studies.latent_map import text as latent_map_text
from pkt_core.studies.latent_map.record import ChainMap, TurnoverTable

FIGURE, TABLE = "chain-map", "turnover"
KINDS = {
    "teacher to student": "pair",
    "before and after a run": "run",
    "teacher's layers": "teacher",
    "student's layers": "student",
}
SHOWN_ROWS = 100


def names_of_pair() -> tuple[str, str]:
    """Names of the chosen pair's teacher and student."""
    request = selection.pair_request()
    known = loaders.pair_names().get(request["pair"])
    if known is None:
        return str(request.get("teacher")), str(request.get("student"))
    return known.teacher.name, known.student.name


def runs_of_pair() -> list[str]:
    """Finished runs of the chosen pair with a stored student, newest first."""
    return [
        run.id
        for run in loaders.runs()
        if run.state in ("done", "stopped")
        and tuple(str(((run.plan or {}).get(side) or {}).get("name")) for side in ("teacher", "student"))
        == names_of_pair()
        and run_widgets.keeps_student(run.folder)
    ]


def run_choice() -> str | None:
    """One of these runs; `auto` is the newest. None with a hint where there is none."""
    listed = runs_of_pair()
    if not listed:
        widgets.empty(
            "No run of this pair has a stored student yet", "Start one on the page Transfer, or choose another chain."
        )
        st.page_link("views/transfer/page.py", label="Run a transfer", icon=":material/moving:")
        return None
    held = str(state.value(Param.RUN, state.AUTO))
    if held not in (state.AUTO, *listed):
        st.info(widgets.plain(f"The run {held[:80]} is none of this pair with a stored student. Showing {listed[0]}."))
        state.forget(Param.RUN)
    picked = st.selectbox(f"Run (auto is {listed[0]})", [state.AUTO, *listed], key=Param.RUN.value, bind=widgets.BIND)
    return listed[0] if picked == state.AUTO else picked


def chain_choice() -> str:
    """The kind of chain: before and after a run where the link names one, else teacher to student."""
    named = str(state.value(Param.RUN, state.AUTO)) != state.AUTO
    return KINDS[widgets.choice("Chain", list(KINDS), Param.MAP_CHAIN, default=list(KINDS)[int(named)])]


def show(comparison: Comparison) -> bool:
    """The controls, the figure and the table of moved prompts; returns whether there was a figure."""
    one, two, three, four = st.columns([2, 2, 2, 1.5], vertical_alignment="bottom")
    with one:
        kind = chain_choice()
    run = None
    if kind == "run":
        with two:
            run = run_choice()
        if run is None:
            return False
    with four:
        n = latent_map_panel.amount()
    answer, toggles, place = st.container(), st.container(horizontal=True), st.container()
    with toggles:
        shuffled = latent_map_panel.null_toggle()
        overlay = widgets.toggle(
            "All in one, joined by lines", Param.MAP_OVERLAY, help="Arrows trace the picked prompts through the chain."
        )
    teacher, student = selection.layers(comparison) if kind in ("pair", "run") else (0, 0)
    arguments = {
        **latent_map_panel.request(),
        "kind": kind,
        "run": run,
        "teacher_layer": teacher,
        "student_layer": student,
        "n_prompts": n,
        "shuffled": shuffled,
    }
    with widgets.advanced(Param.MAP_ALIGNED):
        method = widgets.switch(
            "Projection",
            ("umap", "pca"),
            Param.MAP_ALIGNED,
            default="umap",
            help="umap: AlignedUMAP with alignment regularisation 0.01, computed in the background and stored. pca: each space by itself, rotated onto the previous one.",
        )
    with answer:
        picture: ChainMap | None = latent_map_panel.shown_picture("chain_map", arguments, method)
    if picture is None:
        return False
    with three:
        colour = latent_map_panel.colour_choice(picture.labels)
    with answer:
        widgets.answer(latent_map_text.chain(picture))
    with place:
        widgets.figure(
            figures.chain_figure(picture, colour=colour, picked=state.picked(), overlay=overlay),
            latent_map_text.CHAIN,
            latent_map_text.chain_table(picture),
            FIGURE,
            zoom=True,
            on_select=lambda: latent_map_panel.pick_from_picture(FIGURE),
            select=latent_map_panel.SELECT,
            alt="Panels with the same prompts in each latent space of the chain",
        )
        latent_map_panel.not_shown(picture.ids)
        if kind in ("pair", "run"):
            latent_map_pinned.chain(comparison, arguments, method, colour, overlay)
    moves(picture, arguments)
    return True


def between(picture: ChainMap) -> tuple[int, int]:
    """The two spaces whose neighbours are compared; for a run, before and after."""
    names = [one.short for one in picture.slices]
    pairs = {f"{names[i]} to {names[i + 1]}": (i, i + 1) for i in range(len(names) - 1)}
    pairs |= {f"{names[0]} to {names[-1]}": (0, len(names) - 1)} if len(names) > 2 else {}
    if state.held(Param.MAP_BETWEEN) and state.value(Param.MAP_BETWEEN) not in pairs:
        state.forget(Param.MAP_BETWEEN)  # two spaces of a chain that was shown before
    default = list(pairs)[1] if picture.kind == "run" else next(iter(pairs))
    return pairs[widgets.choice("Between", list(pairs), Param.MAP_BETWEEN, default=default)]


def moves(picture: ChainMap, arguments: dict[str, Any]) -> None:
    """Prompts ranked by how much more their neighbours changed than those of nearby prompts."""
    st.subheader("Which prompts changed neighbours?", anchor=False)
    left, _ = st.columns([2, 3])
    with left:
        first, second = between(picture)
    request = {**arguments, "first": first, "second": second}
    task = loaders.ask("turnover", request)
    record: TurnoverTable | None = widgets.result(
        task, "The table", lambda: loaders.ask("turnover", request, again=True)
    )
    if record is None:
        return
    st.markdown(widgets.plain(latent_map_text.turnover(record)))
    table = latent_map_text.turnover_table(record)
    shown = table.head(SHOWN_ROWS)
    st.dataframe(
        shown,
        key=f"table-{TABLE}",
        hide_index=True,
        on_select=lambda: state.pick(int(shown["prompt"].iloc[row]) for row in state.selected_rows(f"table-{TABLE}")),
        selection_mode="multi-row",
        height=320,
        column_config={
            "prompt": st.column_config.NumberColumn("Prompt", width="small"),
            "text": st.column_config.TextColumn("Text", width="medium"),
            "turnover": st.column_config.ProgressColumn(
                "Turnover", min_value=0, max_value=1, format="%.1f", width="small"
            ),
            "beyond_neighbourhood": st.column_config.NumberColumn(
                "Beyond",
                format="%+.2f",
                width="small",
                help="Turnover minus the median turnover of nearby prompts, -1 to 1.",
            ),
            "q": st.column_config.NumberColumn("q", format="%.3f", width="small"),
            "neighbours_before": st.column_config.TextColumn("Neighbours before", width="large"),
            "neighbours_after": st.column_config.TextColumn("Neighbours after", width="large"),
        },
    )
    st.caption(
        f"Showing the first {len(shown)} of {len(table)} prompts; select rows to pick them. {latent_map_text.TURNOVER}"
    )
    st.download_button(
        "CSV", lambda: exports.csv(table), "turnover.csv", "text/csv", key="csv-turnover", on_click="ignore",
        type="tertiary", icon=":material/download:",
    )  # fmt: skip
