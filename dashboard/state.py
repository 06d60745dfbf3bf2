"""What a view is made of: the parameters in its link, and the few things only this session knows.

No other file touches `st.session_state` or `st.query_params`. Controls are bound to the link by Streamlit itself
(`bind="query-params"`), under the names below; a link therefore reopens the same view.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import streamlit as st

AUTO = "auto"
"""A layer or run that the data choose; it is left out of the link."""


class Param(StrEnum):
    """Names in the link; each is also the key of the control bound to it."""

    PAIR = "pair"
    TEACHER = "teacher"
    STUDENT = "student"
    DEVICE = "device"
    DTYPE = "dtype"
    PROMPTS = "prompts"
    LINES = "lines"
    PROMPT_FILE = "file"
    DATASET = "dataset"
    N_PROMPTS = "n"
    POOLING = "pooling"
    PART = "part"
    MEASURE = "measure"
    OUTLIERS = "outliers"
    SKIP_FIRST = "skip1"
    SEED = "seed"
    FRESH = "fresh"
    TEACHER_LAYER = "tl"
    STUDENT_LAYER = "sl"
    PICKED = "picked"
    MAP_PICTURE = "picture"
    MAP_CHAIN = "chain"
    MAP_ALIGNED = "aligned"
    MAP_OVERLAY = "overlay"
    MAP_BETWEEN = "between"
    MAP_METHOD = "view"
    MAP_KIND = "map"
    MAP_COLOUR = "colour"
    MAP_POINTS = "points"
    MAP_LINKS = "links"
    MAP_SHUFFLED = "shuffled"
    STITCH = "stitch"
    METHOD = "method"
    CONTROL = "control"
    STEPS = "steps"
    ADAPTER = "adapter"
    SCOPE = "scope"
    BATCH = "batch"
    RATE = "lr"
    PLAN_SEED = "pseed"
    EXAMPLES = "examples"
    N_EXAMPLES = "nx"
    PLAN_PART = "site"
    POSITIONS = "positions"
    PLAN_MAP = "pmap"
    BASIS = "basis"
    N_PAIRS = "pairs"
    PAIRING = "pairing"
    INTERPOLATE = "mix"
    FEATURE_LOSS = "floss"
    DIVERGENCE = "div"
    TEMPERATURE = "temp"
    STRENGTH = "strength"
    LAYER_WEIGHT = "lw"
    OUTPUT_WEIGHT = "ow"
    PRECISION = "prec"
    MICRO_BATCH = "micro"
    RECOMPUTE = "recompute"
    MODULES = "modules"
    DECAY = "decay"
    ANCHOR_TO = "anchored"
    ANCHOR_WEIGHT = "aw"
    ANCHOR_BATCH = "abatch"
    N_ANCHOR = "na"
    SEEDS = "seeds"
    RIVALS = "rivals"
    CONTROLS = "controls"
    FAMILY = "family"
    FAMILY_TASK = "ftask"
    RUN = "run"
    OTHER_RUN = "with"
    ONLY_DIFFERENT = "differ"
    PROMPT = "prompt"
    TEXT = "text"
    AT = "at"
    TOP_K = "k"
    ANCHOR = "anchor"
    GAIN = "gain"
    NORM = "norm"
    RIDGE = "ridge"


SEEN = "link_seen"
LISTED = "link_lists"
NAMED = "link_named"
TOLD = "sentence_for_the_page"


def remember_link() -> None:
    """Keep what the link said when the session began, before Streamlit drops values that no control accepts."""
    if SEEN not in st.session_state:
        st.session_state[SEEN] = st.query_params.to_dict()
        st.session_state[LISTED] = {name: st.query_params.get_all(name) for name in st.query_params}
        st.session_state[NAMED] = frozenset(st.query_params)


def named(*params: Param) -> bool:
    """Whether the link named any of these when the session began: what it sets must then be in sight."""
    return not st.session_state.get(NAMED, frozenset()).isdisjoint(param.value for param in params)


def rejected(param: Param, accepted: Any) -> str | None:
    """The link's first value for a control if it was not taken over; asked once, then forgotten."""
    given = st.session_state.get(SEEN, {}).pop(param.value, None)
    if given is None or given == str(accepted):
        return None
    try:
        return None if float(given) == float(accepted) else given
    except (TypeError, ValueError):
        return None if given.lower() == str(accepted).lower() else given


def rejected_among(param: Param, options: Iterable[str]) -> list[str]:
    """The link's values for a control of several that are no options of it; asked once, then forgotten."""
    given = st.session_state.get(LISTED, {}).pop(param.value, [])
    return [one for one in given if one and one not in options]


def value(param: Param, default: Any = None) -> Any:
    """What a control holds, also on pages that do not show it: from the session, else from the link, else the default."""
    if param.value in st.session_state:
        return st.session_state[param.value]
    given = st.query_params.get(param.value)
    return default if given is None else given


def whole(param: Param, default: int, low: int, high: int) -> int:
    """A whole number that another page's control holds; the default where the link says something else."""
    try:
        found = int(value(param, default))
    except (TypeError, ValueError):
        return default
    return found if low <= found <= high else default


def one_of(param: Param, options: Iterable[str], default: str) -> str:
    """An option that another page's control holds; the default where the link says something else."""
    found = str(value(param, default))
    return found if found in options else default


def held(param: Param) -> bool:
    """Whether this session has chosen a value, rather than the link or the default."""
    return param.value in st.session_state


def forget(param: Param) -> None:
    """Drop a held value that no longer fits, so that the control starts from its default."""
    st.session_state.pop(param.value, None)


def forget_all(params: Iterable[Param]) -> None:
    """Drop several held values; for callbacks, before the controls are drawn."""
    for param in params:
        forget(param)


def hold(param: Param, chosen: str) -> None:
    """Set what a control holds; for callbacks, before the controls are drawn."""
    st.session_state[param.value] = chosen


def uploaded(key: str) -> Any:
    """The file in the uploader of that key, or None."""
    return st.session_state.get(key)


def choose_layers(teacher: int, student: int) -> None:
    """Select a pair of layers on every page; for callbacks, before the controls are drawn."""
    st.session_state[Param.TEACHER_LAYER.value] = str(teacher)
    st.session_state[Param.STUDENT_LAYER.value] = str(student)


def picked() -> list[int]:
    """Ids of the prompts that are selected on every page, in order; what is not a number is passed over."""
    words = str(value(Param.PICKED, "") or "").replace(",", " ").split()
    return list(dict.fromkeys(int(word) for word in words if word.isdecimal()))


def pick(ids: Iterable[int]) -> None:
    """Select prompts on every page; for callbacks, before the controls are drawn."""
    st.session_state[Param.PICKED.value] = ", ".join(map(str, ids))


def look_at(character: int | None) -> None:
    """Select a character of the inspected text, None for its last; for callbacks, before the controls are drawn."""
    st.session_state[Param.AT.value] = character


def look_at_token(key: str, ends: list[int]) -> None:
    """Select the last character of the token that was clicked among the pills of that key; for callbacks."""
    token = st.session_state.get(key)
    if token is not None:
        look_at(ends[token] - 1)


def open_family(name: str) -> None:
    """Select a family on every page; for callbacks, before the controls are drawn."""
    st.session_state[Param.FAMILY.value] = name


def open_run(run_id: str, param: Param = Param.RUN) -> None:
    """Select a run on every page; for callbacks, before the controls are drawn."""
    st.session_state[param.value] = run_id


def clicked_cell(key: str) -> tuple[int, int] | None:
    """Teacher and student layer of the cell that was clicked in the heatmap of that key."""
    points = (st.session_state.get(key) or {}).get("selection", {}).get("points", [])
    for point in points:
        data = point.get("customdata")
        if isinstance(data, dict):
            data = [data[k] for k in sorted(data, key=int)]
        if data is not None and len(data) >= 2:
            return int(data[0]), int(data[1])
    return None


def selected_ids(key: str) -> list[int] | None:
    """Ids of the prompts selected in the map of that key, in order; None where the key has no selection at all."""
    held = st.session_state.get(key)
    if held is None:
        return None
    found = []
    for point in held.get("selection", {}).get("points", []):
        data = point.get("customdata")
        first = data.get("0") if isinstance(data, dict) else data[0] if data else None
        if first is not None:
            found.append(int(first))
    return list(dict.fromkeys(found))


def selected_rows(key: str) -> list[int]:
    """Numbers of the rows that are selected in the table of that key."""
    return [int(row) for row in (st.session_state.get(key) or {}).get("selection", {}).get("rows", [])]


def clicked_row(key: str) -> int | None:
    """Number of the row that was selected in the table of that key."""
    rows = (st.session_state.get(key) or {}).get("selection", {}).get("rows", [])
    return int(rows[0]) if rows else None


def tell(sentence: str, place: str = "") -> None:
    """Keep a sentence from a callback until the page, or that place of it, is drawn."""
    st.session_state[f"{TOLD}{place}"] = sentence


def told(place: str = "") -> str | None:
    """The sentence a callback left there, once."""
    return st.session_state.pop(f"{TOLD}{place}", None)
