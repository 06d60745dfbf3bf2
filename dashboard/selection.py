"""The selection shared by all pages: the pair, its prompts, its comparison and the chosen pair of layers."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import limits, loaders, own_models, state, widgets
from dashboard import recorded as dashboard_recorded
from dashboard.params import Param
from pkt_core.similarity.grid import SimilarityGrid
from pkt_core.studies.comparison.record import Comparison

CUSTOM, DEMO, OWN_LINES, FILE, DATASET = "custom", "demo", "own lines", "file", "dataset"
DEVICES = ("auto", "cpu", "cuda", "mps", "spread")
DTYPES = ("auto", "float32", "bfloat16", "float16")
POOLINGS = ("mean", "last", "tokens")
PARTS = ("block_out", "block_delta", "attn_out", "mlp_out")
OUTLIERS = ("none", "clamp", "drop_top", "standardise")
MEASURE = "debiased_linear_cka"
N_PROMPTS, MOST_PROMPTS = 512, 5000


def pair_name() -> str:
    """The chosen pair's name in the catalogue, or `custom`."""
    return state.one_of(Param.PAIR, pair_choices(), DEMO)


def pair_choices() -> list[str]:
    """Pairs of the catalogue, and `custom` for any other two; a public demo offers only its own."""
    return [*loaders.pair_names(), *([] if limits.demo() else [CUSTOM])]


def pair_request() -> dict[str, Any]:
    """The chosen pair as a request to the engine."""
    chosen: dict[str, Any] = {"pair": pair_name()}
    if chosen["pair"] == CUSTOM:
        chosen |= {
            "teacher": str(state.value(Param.TEACHER, "") or ""),
            "student": str(state.value(Param.STUDENT, "") or ""),
        }
    return chosen | {
        "device": state.one_of(Param.DEVICE, DEVICES, "auto"),
        "dtype": state.one_of(Param.DTYPE, DTYPES, "auto"),
    }


def own_prompts() -> str:
    """The prompt set that goes with the pair."""
    known = loaders.pair_names().get(pair_name())
    return known.prompts if known else "general"


def prompt_choices() -> list[str]:
    """Bundled sets, and the other sources of prompts."""
    return [*loaders.prompt_sets(), OWN_LINES, *([] if limits.demo() else [FILE, DATASET])]


def prompts_request() -> dict[str, Any]:
    """The chosen prompts as a request to the engine."""
    chosen = state.one_of(Param.PROMPTS, prompt_choices(), own_prompts())
    if chosen == OWN_LINES:
        return {"lines": str(state.value(Param.LINES, "") or "")}
    if chosen == FILE:
        return {"prompts": loaders.file_as_it_is(str(state.value(Param.PROMPT_FILE, "") or "").strip())}
    if chosen == DATASET:
        given = str(state.value(Param.DATASET, "") or "").strip()
        return {"prompts": given if given.startswith("hf:") or not given else f"hf:{given}"}
    return {"prompts": chosen}


def comparison_request() -> dict[str, Any]:
    """Everything that determines the comparison."""
    return {
        **pair_request(),
        **prompts_request(),
        "n_prompts": state.whole(Param.N_PROMPTS, N_PROMPTS, 64, most_prompts()),
        "pooling": state.one_of(Param.POOLING, POOLINGS, "mean"),
        "part": state.one_of(Param.PART, PARTS, "block_out"),
        "outliers": state.one_of(Param.OUTLIERS, OUTLIERS, "none"),
        "skip_first": str(state.value(Param.SKIP_FIRST, False)).lower() == "true",
        "seed": state.whole(Param.SEED, 0, 0, 10**6),
    }


def most_prompts() -> int:
    """The most prompts that a comparison may read here."""
    return limits.MOST_PROMPTS if limits.demo() else MOST_PROMPTS


def recorded() -> Comparison | None:
    """The recorded comparison, where the view shows exactly its settings."""
    standard = {"pair": DEMO, "device": "auto", "dtype": "auto", "prompts": own_prompts(), "n_prompts": N_PROMPTS}
    standard |= {"pooling": "mean", "part": "block_out", "outliers": "none", "skip_first": False, "seed": 0}
    fresh = str(state.value(Param.FRESH, False)).lower() == "true"
    return None if fresh or comparison_request() != standard else dashboard_recorded.comparison()


def comparison(why: str = "") -> tuple[Comparison | None, bool]:
    """The comparison for this view and whether it is the recorded one; else its progress, error or start button.

    Bundled pairs are compared at once; others on request, because they may be large.
    """
    if (shipped := recorded()) is not None:
        return shipped, True
    request, name = comparison_request(), pair_name()
    custom = (request.get("teacher", ""), request.get("student", ""))
    if problem := loaders.unavailable(name, *custom):
        st.warning(widgets.plain(problem), icon=":material/cloud_off:")
        return None, False
    ships = loaders.ships(name)
    task = loaders.ask("compare", request) if ships else loaders.known("compare", request)
    if task is None:
        loaders.engine().warm()
        widgets.empty(
            "Not compared yet",
            f"{why} Running both models over the prompts takes seconds on a GPU. On a CPU it takes minutes for models with hundreds of millions of parameters.".strip(),
        )
        own_models.room(request)
        st.button(
            "Compare these models",
            type="primary",
            key="compare-now",
            icon=":material/play_arrow:",
            on_click=begin,
            args=(request,),
        )
        return None, False
    return widgets.result(task, "The comparison", lambda: loaders.ask("compare", request, again=True)), False


def grid(comparison: Comparison, recorded: bool, measure: str) -> SimilarityGrid | None:
    """The grid by one measure: from the comparison, a recorded one, or from the engine, whose progress is shown."""
    if measure == comparison.grid.measure:
        return comparison.grid
    if recorded and measure in (kept := dashboard_recorded.grids()):
        return kept[measure]
    request = {**comparison_request(), "measure": measure}
    task = loaders.ask("similarity", request)
    computed: SimilarityGrid | None = widgets.result(
        task, "The grid", lambda: loaders.ask("similarity", request, again=True)
    )
    return computed


def begin(request: dict[str, Any]) -> None:
    """Start a comparison; for callbacks."""
    loaders.ask("compare", request)


def compared() -> Comparison | None:
    """The comparison if it exists already; starts nothing."""
    task = loaders.known("compare", comparison_request())
    if task is None or task.status != "done":
        return None
    comparison: Comparison = task.record
    return comparison


def own_layers() -> tuple[int, int] | None:
    """The pair's default layers, which its recorded runs use; None where it has none."""
    known = loaders.pair_names().get(pair_name())
    return known.layers if known else None


def layers(comparison: Comparison) -> tuple[int, int]:
    """The chosen pair of layers: from the controls or a click, else the pair's own, else what attribution and pairing suggest."""
    teacher, student = own_layers() or comparison.chosen
    return (
        state.whole(Param.TEACHER_LAYER, teacher, 0, comparison.teacher.n_layers - 1),
        state.whole(Param.STUDENT_LAYER, student, 0, comparison.student.n_layers - 1),
    )
