"""The settings of a plan as controls bound to the link, generated from the records of methods and settings.

Methods, their groups, which settings a method uses, options, bounds, help and defaults are all read from the methods' records
(`pkt_core.transfer.method`), so that a method added there appears here. A setting left at `auto` is the method's own default.

Not covered: controls and layers in words (`dashboard/views/transfer/plan_choices.py`), what a plan costs and starting it (`views/transfer/page.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import pandas as pd
import streamlit as st

from dashboard import limits, selection, state, widgets
from dashboard.params import OwnParam, Param
from dashboard.views.transfer import stacks as transfer_stacks
from pkt_core.errors import PktError

MOST = 1_000_000
"""Upper bound of a number where its setting has none."""
RATES = ("3e-05", "0.0001", "0.0003", "0.001", "0.003")
BY_CONTROL: dict[str, tuple[str, ...]] = {"map": ("permuted", "random"), "pairing": ("reversed", "random")}
"""Options that are controls: they are chosen under Control, which explains what each removes."""
typed = st.components.v2.component(
    "pkt-typed",
    html="<span hidden></span>",
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Setting:
    """One control under Advanced."""

    name: str
    """The field of the plan."""
    param: Param
    label: str
    high: float = 0
    """Largest number; 0 where the setting is no number."""
    step: float = 1
    low: float = 0


SETTINGS = {
    "What is matched": (
        Setting("map", Param.PLAN_MAP, "Alignment map"),
        Setting("basis", Param.BASIS, "Bases of the map"),
        Setting("part", Param.PLAN_PART, "Matched site"),
        Setting("positions", Param.POSITIONS, "Matched positions"),
        Setting("feature_loss", Param.FEATURE_LOSS, "Feature loss"),
        Setting("divergence", Param.DIVERGENCE, "Divergence"),
    ),
    "Layers": (
        Setting("n_pairs", Param.N_PAIRS, "Pairs of layers (0: every student layer)", high=1000),
        Setting("pairing", Param.PAIRING, "Pairing"),
        Setting("interpolate", Param.INTERPOLATE, "Mix two teacher layers"),
        Setting("scope", Param.SCOPE, "What trains"),
        Setting("modules", Param.MODULES, "Modules of a block"),
    ),
    "Weights": (
        Setting("layer_weight", Param.LAYER_WEIGHT, "Weight of the layer term", high=1000.0, step=0.1, low=0.0),
        Setting("output_weight", Param.OUTPUT_WEIGHT, "Weight of the output term", high=1000.0, step=0.1, low=0.0),
        Setting("temperature", Param.TEMPERATURE, "Temperature", high=100.0, step=0.5, low=0.01),
        Setting("strength", Param.STRENGTH, "Strength", high=10.0, step=0.1, low=0.0),
        Setting("steer", Param.STEER, "One steering vector"),
    ),
    "Anchor": (
        Setting("anchor", Param.ANCHOR_TO, "Anchor the student to"),
        Setting("anchor_weight", Param.ANCHOR_WEIGHT, "Weight of the anchor", high=1000.0, step=0.1, low=0.0),
        Setting("anchor_batch", Param.ANCHOR_BATCH, "Anchor texts per step", high=1024, low=1),
        Setting("n_anchor", Param.N_ANCHOR, "Anchor texts", high=100_000, step=64, low=16),
    ),
    "Training": (
        Setting("learning_rate", Param.RATE, "Learning rate"),
        Setting("decay", Param.DECAY, "Learning-rate decay"),
        Setting("batch_size", Param.BATCH, "Batch size", high=1024, low=1),
        Setting("micro_batch", Param.MICRO_BATCH, "Micro-batch", high=1024, low=1),
        Setting("adapter", Param.ADAPTER, "What is adapted"),
        Setting("precision", Param.PRECISION, "Precision of training"),
        Setting("recompute", Param.RECOMPUTE, "Recompute activations"),
    ),
}  # fmt: skip
DATA = (Param.EXAMPLES, Param.N_EXAMPLES, Param.PLAN_SEED)
OF_METHOD = (Param.CONTROL, Param.RIVALS, Param.CONTROLS)
"""Controls that return to their defaults when another method is chosen."""
ADVANCED = (*(one.param for group in SETTINGS.values() for one in group), *DATA)


def ordered() -> list[str]:
    """All methods by their groups: SemAlign, ours, rivals, those without training."""
    from pkt_core.transfer.method import GROUPS, methods

    known = methods()
    return sorted(known, key=lambda name: GROUPS.index(known[name].group))


def bare(method: Any, **settings: Any) -> Any:
    """A plan of that method for the bundled models, to query which settings it uses."""
    from pkt_core.models.ref import ModelRef
    from pkt_core.transfer.plan import TransferPlan

    teacher, student = (ModelRef(name=f"demo:{side}") for side in ("teacher", "student"))
    return TransferPlan.said({"teacher": teacher, "student": student, "data": "none", "method": method, **settings})


def uses(method: Any, name: str) -> bool:
    """Whether a method uses a setting."""
    from pkt_core.transfer.method import methods

    known = methods()[method]
    return name in known.plan.model_fields and (known.layers or name not in ("part", "pairing"))


def options(method: Any, name: str, beside: dict[str, Any]) -> list[str]:
    """The values of a setting that a method accepts given those already set, controls excluded."""
    from pkt_core.transfer.plan import kinds

    if name == "learning_rate":
        return list(RATES)

    def taken(value: str) -> bool:
        try:
            bare(method, **{"map": beside.get("map"), name: value}).check_settings()
        except PktError:
            return False
        return True

    field = kinds()[method].model_fields[name]
    return [value for value in get_args(field.annotation) if value not in BY_CONTROL.get(name, ()) and taken(value)]


def setting(method: Any, one: Setting, beside: dict[str, Any]) -> Any:
    """The value of one control; None where it is left to the method."""
    from pkt_core.transfer.plan import kinds

    field = kinds()[method].model_fields[one.name]
    default = field.default
    help = " ".join(str(field.description or "").replace("\n", " ").split())
    if isinstance(default, bool):
        return widgets.toggle(one.label, one.param, default=default, help=help) or None
    if one.high:
        auto = "the whole batch" if default is None else f"{default:g}"
        return widgets.number(one.label, one.param, low=one.low, high=one.high, step=one.step, auto=auto, help=help)
    known = options(method, one.name, beside)
    if len(known) < 2:
        return None
    if str(state.value(one.param, state.AUTO)) not in (state.AUTO, *known) and state.held(one.param):
        state.forget(one.param)  # a value that only the previous method accepted
    shown = f"{default:g}" if isinstance(default, float) else default
    picked = widgets.choice(f"{one.label} (auto is {shown})", [state.AUTO, *known], one.param, help=help or None)
    return None if picked == state.AUTO else float(picked) if isinstance(default, float) else picked


def own_settings(method: Any) -> tuple[Setting, ...]:
    """Controls for settings of this method that the table above lacks: label, bounds and name in the link come from the field."""
    from pkt_core.transfer.method import methods

    known = methods()[method]
    made = []
    for name in known.own_settings:
        if any(name == one.name for group in SETTINGS.values() for one in group):
            continue
        field = known.plan.model_fields[name]
        low, high = (
            next((getattr(bound, key) for bound in field.metadata for key in keys if hasattr(bound, key)), none)
            for keys, none in ((("ge", "gt"), 0), (("le", "lt"), MOST))
        )
        label, param = name.replace("_", " ").capitalize(), cast(Param, OwnParam(name))
        if isinstance(field.default, bool | str):
            made.append(Setting(name, param, label))
        elif isinstance(field.default, float):
            made.append(Setting(name, param, label, low=float(low), high=float(high), step=0.1))
        else:
            made.append(Setting(name, param, label, low=int(low), high=int(high)))
    return tuple(made)


def settled(layers: dict[str, Any]) -> set[str]:
    """Settings that choose layers and are determined by layers drawn or named."""
    if "layer_pairs" in layers or "teacher_layer" in layers:
        return {"n_pairs", "pairing", "interpolate"}
    return {"n_pairs"} if layers else set()


def advanced(method: Any, layers: dict[str, Any]) -> dict[str, Any]:
    """The settings that the method uses and the user set, besides the chosen layers; the rest are the method's defaults."""
    from pkt_core.transfer.settings import ANCHORED

    chosen: dict[str, Any] = {}
    extra = own_settings(method)
    with widgets.advanced(*ADVANCED, *(one.param for one in extra)):
        st.caption("Only settings that this method uses. `auto` is the method's default.")
        for title, group in {**SETTINGS, "Of this method": extra}.items():
            used = [one for one in group if uses(method, one.name) and one.name not in settled(layers)]
            if not used:
                continue
            st.markdown(f"**{title}**")
            columns = st.columns(3)
            for i, one in enumerate(used):
                if one.name in ANCHORED and chosen["anchor"] in (None, "none"):
                    continue
                with columns[i % 3]:
                    chosen[one.name] = setting(method, one, chosen)
        st.markdown("**Data**")
        chosen |= data()
    return {name: value for name, value in chosen.items() if value is not None}


def data() -> dict[str, Any]:
    """The training examples, their number, and the seed."""
    one, two, three = st.columns(3)
    with one:
        examples = widgets.line(
            "Examples",
            Param.EXAMPLES,
            placeholder="those of the pair",
            help="A .jsonl or .csv file with prompt and answer.",
        )
    with two:
        n = widgets.amount("Maximum examples (0: all)", Param.N_EXAMPLES, low=0, high=10**6, default=0, step=100)
    with three:
        seed = widgets.amount("Seed", Param.PLAN_SEED, low=0, high=10**6, default=0)
    return {"data": examples or None, "n_examples": n or None, "seed": seed}


@dataclass(frozen=True)
class Places:
    """Containers for elements derived from the plan."""

    control: Any
    stacks: Any
    layers: Any
    """The pairing in words."""


def draw() -> tuple[dict[str, Any], Places]:
    """All settings of a plan, and the containers for elements derived from them."""
    from pkt_core.transfer.method import methods

    known: list[Any] = ordered()
    method: Any = widgets.switch(
        "Method", known, Param.METHOD, default="semalign-v1", on_change=lambda: state.forget_all(OF_METHOD)
    )
    record = methods()[method]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(record.group, color="blue")
        if record.reconstructed:
            st.badge("reconstructed, not the authors' code", color="orange")
        st.markdown(widgets.plain(f"{record.sentence}."), width="content")
    with st.expander("All methods, one sentence each"):
        listed = [methods()[name] for name in known]
        table = pd.DataFrame([{"Method": m.name, "Kind": m.group, "What it does": m.sentence} for m in listed])
        st.dataframe(table, hide_index=True, alt="All methods with kind and description")
    settings: dict[str, Any] = {"method": method}
    left, right = st.columns(2)
    with left:
        if record.trains:
            settings["steps"] = widgets.amount(
                "Steps", Param.STEPS, low=1, high=limits.MOST_STEPS if limits.demo() else 100_000, default=300, step=50
            )
        else:
            st.caption("This method takes no steps: it changes the student once, in closed form.")
    picture, words = st.columns([3, 2], gap="large")
    with words:
        layers = {"layer_pairs": drawn} if (drawn := transfer_stacks.line()) else chosen_layers()
    chosen = advanced(method, layers)
    return settings | chosen | (layers or where_one_starts(method, chosen)), Places(right, picture, words)


def chosen_layers() -> dict[str, Any]:
    """The layers chosen in the sidebar."""
    sides = (("teacher_layer", Param.TEACHER_LAYER), ("student_layer", Param.STUDENT_LAYER))
    return {name: layer for name, param in sides if (layer := state.whole(param, -1, 0, 10_000)) >= 0}


def where_one_starts(method: Any, chosen: dict[str, Any]) -> dict[str, Any]:
    """The pair's default layers for a method that uses one pair of layers; empty where it has none, or layers were chosen otherwise."""
    pair_layers = selection.own_layers()
    if pair_layers is None or bare(method).n_pairs != 1 or chosen.keys() & {"n_pairs", "pairing", "interpolate"}:
        return {}
    return {"teacher_layer": pair_layers[0], "student_layer": pair_layers[1]}
