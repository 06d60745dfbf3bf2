"""What does it look like? Both models' states of the same prompts in one picture, PCA at once and UMAP when it is ready."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import loaders, selection, widgets
from dashboard.state import Param
from pkt_core.report import captions, figures, sentences, tables
from pkt_core.report.look import number, percent

MAPS = ("semantic", "ridge", "procrustes")
OVERLAP, MODEL = "neighbour overlap", "model"


def advanced() -> dict[str, Any]:
    with widgets.advanced(Param.MAP_KIND, Param.MAP_POINTS, Param.MAP_LINKS, Param.MAP_SHUFFLED):
        one, two, three = st.columns(3)
        with one:
            kind = widgets.choice(
                "Alignment map", MAPS, Param.MAP_KIND,
                help="semantic: from the two vocabularies alone, nothing is fitted. ridge, procrustes: fitted on the half of the prompts that is not shown.",
            )  # fmt: skip
        with two:
            n = widgets.amount("Prompts shown", Param.MAP_POINTS, low=50, high=1000, default=300, step=50)
        with three:
            links = widgets.toggle("Join the two points of a prompt", Param.MAP_LINKS)
            shuffled = widgets.toggle(
                "Draw the control instead", Param.MAP_SHUFFLED, help="The same picture with the map's meaning removed."
            )
    return {"map": kind, "n_prompts": n, "links": links, "shuffled": shuffled}


def scores(picture: dict[str, Any]) -> None:
    trust = picture["trust"]
    one, two, three = st.columns(3)
    one.metric(
        "Held-out cosine", number(picture["map_cosine"]), f"control {number(picture['map_control'])}", delta_color="off", delta_arrow="off",
        help="Mean cosine of mapped teacher states with the student's on prompts the map has not seen, -1..1; the control is the same map with its meaning removed.",
    )  # fmt: skip
    two.metric(
        "Shared neighbours", percent(trust["overlap"]), f"chance {percent(trust['overlap_chance'])}", delta_color="off", delta_arrow="off",
        help="Of each prompt's 10 nearest in the teacher's full space, the share that is also nearest in the student's.",
    )  # fmt: skip
    three.metric(
        "Neighbours kept", percent(min(trust["teacher"], trust["student"])), "on the page", delta_color="off", delta_arrow="off",
        help="How far to believe distances on the page: share of true neighbours that are still neighbours in two dimensions, the worse model.",
    )  # fmt: skip


def shown_picture(request: dict[str, Any], method: str) -> dict[str, Any] | None:
    """The picture asked for, or PCA with the UMAP's progress above it."""

    def task(name: str, again: bool = False) -> Any:
        return loaders.ask("latent_map", {**request, "method": name}, again=again)

    wanted = task(method)
    if method == "umap" and wanted.status != "done":
        widgets.result(wanted, "The UMAP", lambda: task("umap", True))
        st.caption("Until it is there, this is the PCA of the same prompts.")
        wanted = task("pca")
    return widgets.result(wanted, "The PCA", lambda: task("pca", True))


def show() -> None:
    widgets.head(
        "What does it look like?",
        "The same prompts in both latent spaces, the teacher's carried into the student's by an alignment map.",
    )
    with widgets.errors():
        found, _ = selection.comparison("The map needs to know both models' layers.")
        if found is None:
            return
        controls = st.container()
        settings = advanced()
        with controls:
            left, right = st.columns(2, vertical_alignment="bottom")
            with left:
                method = widgets.switch(
                    "Projection",
                    ("pca", "umap"),
                    Param.MAP_METHOD,
                    default="pca",
                    help="UMAP takes 10 to 30 s the first time.",
                )
        teacher, student = selection.layers(found)
        pooling = selection.comparison_request()["pooling"]
        request = {
            **selection.pair_request(),
            **selection.prompts_request(),
            "pooling": "mean" if pooling == "tokens" else pooling,
            "seed": selection.comparison_request()["seed"],
            "teacher_layer": teacher,
            "student_layer": student,
            **{key: settings[key] for key in ("map", "n_prompts", "shuffled")},
        }
        with controls:
            place = st.container()
        with place:
            picture = shown_picture(request, method)
        if picture is None:
            return
        with right:
            colour = widgets.choice("Colour", [OVERLAP, MODEL, *picture["labels"]], Param.MAP_COLOUR)
        with place:
            widgets.answer(sentences.latent(picture))
            widgets.figure(
                figures.latent_figure(picture, colour=colour, linked=settings["links"]), captions.LATENT, tables.latent_table(picture),
                "latent-map", zoom=True, alt="Scatter of both models' states of the same prompts",
            )  # fmt: skip
            if picture["shuffled"]:
                st.info(
                    "This is the control: the map's meaning was removed. Structure that you still see is not alignment."
                )
            scores(picture)


show()
