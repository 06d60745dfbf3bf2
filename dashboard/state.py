"""The state of a view: the parameters in its link, and the few values that only this session holds.

No other file touches `st.session_state` or `st.query_params`. Controls are bound to the link by Streamlit itself
(`bind="query-params"`), under the names of `params.py`; a link therefore reopens the same view.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.params import Param

AUTO = "auto"
"""A layer or run chosen from the data; it is left out of the link."""


SEEN = "link_seen"
LISTED = "link_lists"
NAMED = "link_named"
REFUSED, REFUSED_LISTS, REFUSED_ON = "link_refused", "link_refused_lists", "link_refused_on"
TOLD = "sentence_for_the_page"
AT_WORK = "runs_at_work"
VISITOR = "visitor"
WAITED_FOR, DRAWN = "page_waits_for", "page_drawn"
TOUR, TOUR_MOVES, TOUR_OVER = "tour_step", "tour_moves", "tour_is_over"


def visitor() -> str:
    """A random token that identifies this session."""
    return str(st.session_state.setdefault(VISITOR, secrets.token_hex(16)))


def remember_link(here: str = "") -> None:
    """Store the link's values at the start of the session, before Streamlit drops those that no control accepts.

    Values refused on the page before `here` were reported there and are dropped.
    """
    if SEEN not in st.session_state:
        st.session_state[SEEN] = st.query_params.to_dict()
        st.session_state[LISTED] = {name: st.query_params.get_all(name) for name in st.query_params}
        st.session_state[NAMED] = frozenset(st.query_params)
    if st.session_state.get(REFUSED_ON) != here:
        for links, refusals in ((SEEN, REFUSED), (LISTED, REFUSED_LISTS)):
            for name in st.session_state.get(refusals, {}):
                st.session_state[links].pop(name, None)
            st.session_state[refusals] = {}
        st.session_state[REFUSED_ON] = here


def named(*params: Param) -> bool:
    """Whether the link set any of these at the start of the session; their controls must then be visible."""
    return not st.session_state.get(NAMED, frozenset()).isdisjoint(param.value for param in params)


def rejected(param: Param, accepted: Any) -> str | None:
    """The link's value for a control that did not accept it, until another value or page is chosen.

    A page is redrawn whenever a result arrives: a notice shown only once would vanish before it was read.
    """
    given = st.session_state.get(SEEN, {}).get(param.value)
    if given is None:
        return None
    if same(given, accepted) or not still(REFUSED, param, accepted):
        st.session_state[SEEN].pop(param.value)
        return None
    return str(given)


def same(given: str, accepted: Any) -> bool:
    """Whether a value of the link is what a control holds."""
    try:
        return given == str(accepted) or float(given) == float(accepted)
    except (TypeError, ValueError):
        return given.lower() == str(accepted).lower()


def still(refusals: str, param: Param, accepted: Any) -> bool:
    """Whether a control still holds the value it had when it first refused the link's."""
    return bool(st.session_state.setdefault(refusals, {}).setdefault(param.value, accepted) == accepted)


def rejected_among(param: Param, options: Iterable[str], accepted: list[str]) -> list[str]:
    """The link's values for a multiple choice that are not among its options, until another selection or page is chosen."""
    wrong = [one for one in st.session_state.get(LISTED, {}).get(param.value, []) if one and one not in options]
    if not wrong or not still(REFUSED_LISTS, param, accepted):
        st.session_state.get(LISTED, {}).pop(param.value, None)
        return []
    return wrong


def value(param: Param, default: Any = None) -> Any:
    """The value of a control, also on pages that do not show it: from the session, else from the link, else the default."""
    if param.value in st.session_state:
        return st.session_state[param.value]
    given = st.query_params.get(param.value)
    return default if given is None else given


def whole(param: Param, default: int, low: int, high: int) -> int:
    """A whole number from another page's control; the default where the link's value is invalid."""
    try:
        number = int(value(param, default))
    except (TypeError, ValueError):
        return default
    return number if low <= number <= high else default


def one_of(param: Param, options: Iterable[str], default: str) -> str:
    """An option from another page's control; the default where the link's value is invalid."""
    chosen = str(value(param, default))
    return chosen if chosen in options else default


def held(param: Param) -> bool:
    """Whether this session has chosen a value, rather than the link or the default."""
    return param.value in st.session_state


def forget(param: Param) -> None:
    """Drop a held value that no longer fits, so that the control starts from its default."""
    st.session_state.pop(param.value, None)


def unlink(param: Param) -> None:
    """Remove a value from the link before its control is drawn."""
    st.query_params.pop(param.value, None)


def forget_all(params: Iterable[Param]) -> None:
    """Drop several held values; for callbacks, before the controls are drawn."""
    for param in params:
        forget(param)


def hold(param: Param, chosen: str) -> None:
    """Set the value of a control; for callbacks, before the controls are drawn."""
    st.session_state[param.value] = chosen


def uploaded(key: str) -> Any:
    """The file in the uploader of that key, or None."""
    return st.session_state.get(key)


def keep_upload(key: str, param: Param, keep: Callable[[str, bytes], tuple[str | None, str]]) -> None:
    """Store the file in the uploader of that key and set the control to its stored name; else leave a sentence about what is wrong."""
    if (file := uploaded(key)) is None:
        return
    name, sentence = keep(file.name, file.getvalue())
    if name is not None:
        hold(param, name)
    else:
        tell(sentence, key)


def choose_layers(teacher: int, student: int) -> None:
    """Select a pair of layers on every page; for callbacks, before the controls are drawn."""
    st.session_state[Param.TEACHER_LAYER.value] = str(teacher)
    st.session_state[Param.STUDENT_LAYER.value] = str(student)


def picked() -> list[int]:
    """Ids of the picked prompts, in order; anything that is not a number is ignored."""
    return list(dict.fromkeys(int(word) for word in picked_words() if word.isdecimal()))


def picked_words() -> list[str]:
    """The entries of the picked prompts, numbers or not."""
    return str(value(Param.PICKED, "") or "").replace(",", " ").split()


def picked_in_vain(n: int | None) -> list[str]:
    """Entries of the picked prompts that are not among 0 to n - 1; `n` is None where the size of the set is not known."""
    return [word for word in picked_words() if not word.isdecimal() or (n is not None and int(word) >= n)]


def pick(ids: Iterable[int]) -> None:
    """Select prompts on every page; for callbacks, before the controls are drawn."""
    st.session_state[Param.PICKED.value] = ", ".join(map(str, ids))


def read_pin(given: object) -> tuple[int, int] | None:
    """Teacher and student layer of a pin such as `5.2`; None where it is none."""
    teacher, dot, student = str(given or "").strip().partition(".")
    return (int(teacher), int(student)) if dot and teacher.isdecimal() and student.isdecimal() else None


def pinned() -> tuple[int, int] | None:
    """The pinned pair of layers."""
    return read_pin(value(Param.PIN))


def pin(layers: tuple[int, int] | None) -> None:
    """Keep a pair of layers for comparison, or none; for callbacks, before the controls are drawn."""
    hold(Param.PIN, "" if layers is None else f"{layers[0]}.{layers[1]}")


def swap_pinned(chosen: tuple[int, int]) -> None:
    """The pinned pair of layers becomes the chosen one, and the other way round; for callbacks."""
    if (other := pinned()) is not None:
        choose_layers(*other)
        pin(chosen)


def look_at(character: int | None) -> None:
    """Select a character of the inspected text, None for its last; for callbacks, before the controls are drawn."""
    st.session_state[Param.AT.value] = character


def look_at_token(key: str, ends: list[int]) -> None:
    """Select the last character of the token that was clicked among the pills of that key; for callbacks."""
    token = st.session_state.get(key)
    if token is not None:
        look_at(ends[token] - 1)


def look_at_sentence(key: str, order: list[int], run_id: str) -> None:
    """Select the sentence whose row was clicked in the table of that key, and none of its tokens; for callbacks.

    The run is named too: another newest one would have other sentences under these numbers.
    """
    row = clicked_row(key)
    if row is not None and row < len(order):
        open_run(run_id)
        st.session_state[Param.SENTENCE.value] = order[row]
        st.session_state[Param.TOKEN.value] = None


def look_at_its_token(key: str, run_id: str) -> None:
    """Select the token that was clicked in the sentence of that key, and name the run; for callbacks."""
    if ids := selected_ids(key):
        open_run(run_id)
        st.session_state[Param.TOKEN.value] = ids[0]


def open_inspector(pair: dict[str, str], text: str, at: int, run_id: str) -> None:
    """Set the Inspector to a character of a text with a run's models; for callbacks, before the controls are drawn."""
    open_run(run_id)
    for name, chosen in {**pair, Param.TEXT.value: text, Param.AT.value: at}.items():
        st.session_state[name] = chosen


def open_family(name: str) -> None:
    """Select a family on every page; for callbacks, before the controls are drawn."""
    st.session_state[Param.FAMILY.value] = name


def open_run(run_id: str, param: Param = Param.RUN) -> None:
    """Select a run on every page; for callbacks, before the controls are drawn."""
    st.session_state[param.value] = run_id


def triggered(key: str, name: str) -> Any:
    """The value that the component of that key has just sent under a name, or None; for its callback."""
    return (st.session_state.get(key) or {}).get(name)


def carried(point: dict[str, Any]) -> list[Any]:
    """The customdata of a selected point; Streamlit returns a list, or an object keyed by position."""
    data = point.get("customdata")
    return [data[k] for k in sorted(data, key=int)] if isinstance(data, dict) else list(data or [])


def clicked(key: str, least: int) -> list[Any] | None:
    """The customdata of the first selected point of that key with at least that many values; None where there is none."""
    points = (st.session_state.get(key) or {}).get("selection", {}).get("points", [])
    return next((data for point in points if len(data := carried(point)) >= least), None)


def clicked_cell(key: str) -> tuple[int, int] | None:
    """Teacher and student layer of the cell that was clicked in the heatmap of that key."""
    data = clicked(key, 2)
    return None if data is None else (int(data[0]), int(data[1]))


def clicked_text(key: str, place: int) -> str | None:
    """One entry of the clicked point's customdata in the figure of that key."""
    data = clicked(key, place + 1)
    return None if data is None else str(data[place])


def selected_ids(key: str) -> list[int] | None:
    """Ids of the prompts selected in the map of that key, in order; None where the key has no selection at all."""
    held = st.session_state.get(key)
    if held is None:
        return None
    ids = []
    for point in held.get("selection", {}).get("points", []):
        data = point.get("customdata")
        first = data.get("0") if isinstance(data, dict) else data[0] if data else None
        if first is not None:
            ids.append(int(first))
    return list(dict.fromkeys(ids))


def selected_rows(key: str) -> list[int]:
    """Numbers of the rows that are selected in the table of that key."""
    return [int(row) for row in (st.session_state.get(key) or {}).get("selection", {}).get("rows", [])]


def clicked_row(key: str) -> int | None:
    """Number of the row that was selected in the table of that key."""
    rows = (st.session_state.get(key) or {}).get("selection", {}).get("rows", [])
    return int(rows[0]) if rows else None


def pick_clicked(key: str) -> None:
    """Pick the two prompts that the clicked point of the figure of that key is of; for callbacks."""
    if (data := clicked(key, 2)) is not None:
        pick(int(number) for number in data[:2])


def ended_since(at_work: list[str]) -> list[str]:
    """Runs that were running at the last call and are no longer; empty the first time."""
    before = st.session_state.get(AT_WORK, [])
    st.session_state[AT_WORK] = at_work
    return [run for run in before if run not in at_work]


def waited_for() -> list[Callable[[], bool]]:
    """The conditions that the current page waits for; each drawing of the page starts the list anew."""
    return st.session_state.setdefault(WAITED_FOR, [])


def page_asked_for() -> str:
    """The page that a request is about: the one its browser showed when it was sent."""
    run = get_script_run_ctx()
    return run.page_script_hash if run is not None else ""


def draws_page() -> None:
    """Record that the requested page is drawn."""
    st.session_state[DRAWN] = page_asked_for()


def page_drawn() -> str:
    """The page that was drawn last."""
    return st.session_state.get(DRAWN, "")


def go(view: str) -> None:
    """Show another page. The controls' values go along into its link; Streamlit does not allow setting them here."""
    st.switch_page(f"views/{view}/page.py", query_params={})


def came_by_link() -> bool:
    """Whether the session began with a link that sets a view, so that no tour is offered."""
    return bool(st.session_state.get(NAMED)) or TOUR_OVER in st.session_state


def tour_step() -> int | None:
    """The step of the tour, from 0; None while there is none."""
    return st.session_state.get(TOUR)


def tour_to(step: int) -> None:
    """Go to a step; for callbacks."""
    st.session_state[TOUR], st.session_state[TOUR_MOVES] = step, True


def tour_moves() -> bool:
    """Whether the tour has just moved to another step; True once per move."""
    return bool(st.session_state.pop(TOUR_MOVES, False))


def tour_end() -> None:
    """No tour, and no offer of one, in this session; for callbacks."""
    st.session_state.pop(TOUR, None)
    st.session_state[TOUR_OVER] = True


def tell(sentence: str, place: str = "") -> None:
    """Store a sentence from a callback until the page, or that place of it, is drawn."""
    st.session_state[f"{TOLD}{place}"] = sentence


def told(place: str = "") -> str | None:
    """The sentence that a callback stored, once."""
    return st.session_state.pop(f"{TOLD}{place}", None)
