"""Visitors with odd links, several at once, over the app's own websocket as a browser speaks it: no fault on any page, none blank."""

from __future__ import annotations

import os
import resource
import time
from functools import partial
from pathlib import Path
from random import Random
from urllib.parse import urlencode

from tests.faults.ground import Ground
from tests.faults.lanes import WHERE, Kind, Outcome
from tests.serving import ROOT

PAGES = 6  # that each visitor opens
FRONT = "pair"  # the page whose address is empty
PATIENCE = 90.0  # seconds for one page
NONSENSE = [
    "",
    " ",
    "-1",
    "0",
    "1e999",
    "NaN",
    "9" * 400,
    "0x10",
    "½",
    "true",
    "None",
    "null",
    "[]",
    "{}",
    "a,b;c",
    "../../etc/passwd",
    "/etc/passwd",
    "/dev/zero",
    "/proc/self/environ",
    "~",
    "demo:",
    "demo:../student",
    "kept:",
    "kept:../../x",
    "hf:",
    "hf:nobody/none",
    "<script>alert(1)</script>",
    "**bold** $x$ :material/home:",
    "%00",
    "\0",
    "\ud83d".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
    "\u202etxet",
    "日本",
    "é" * 3000,
    "'; drop table runs; --",
    "{{7*7}}",
    "demo-semalign-v1",
    "demo",
    "cka",
    "12",
    "3",
]


def visit(ground: Ground, random: Random, _index: int, room: Path) -> Outcome:
    """One session: some pages in random order, each by a link with nonsense in it."""
    from websockets.sync.client import connect

    from dashboard.params import Param

    address = (ground.home / "address.txt").read_text()
    views = sorted(path.parent.name for path in (ROOT / "dashboard" / "views").glob("*/page.py"))
    pages = ["", *(name for name in views if name != FRONT)]
    bad = []
    with connect(
        address.replace("http", "ws", 1) + "/_stcore/stream",
        origin=address,
        subprotocols=["streamlit", "PLACEHOLDER_AUTH_TOKEN"],
        max_size=None,
        open_timeout=60,
    ) as session:
        for _ in range(PAGES):
            page = random.choice(pages)
            named = random.sample(list(Param), random.choice([0, 1, 2, 5, 20]))
            link = urlencode({name.value: random.choice(NONSENSE) for name in named})
            (room / WHERE).write_text(f"/{page}?{link}")
            if (fault := fault_of(session, page, link)) is not None:
                bad.append(f"/{page}?{link[:300]}: {fault}")
    return Outcome("not held", "; ".join(bad)) if bad else Outcome("held", f"{PAGES} pages")


def fault_of(session, page: str, link: str) -> str | None:
    """What is wrong with a page, once its script has ended; None where nothing is."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    asked = BackMsg()
    asked.rerun_script.query_string = link
    asked.rerun_script.page_name = page
    session.send(asked.SerializeToString())
    seen, until = 0, time.monotonic() + PATIENCE
    while True:
        try:
            data = session.recv(timeout=max(0.1, until - time.monotonic()))
        except TimeoutError:
            return f"not over after {PATIENCE:g} s"
        told = ForwardMsg()
        told.ParseFromString(data)
        kind = told.WhichOneof("type")
        if kind == "delta" and told.delta.WhichOneof("type") == "new_element":
            element = told.delta.new_element
            what = element.WhichOneof("type")
            if what == "exception":
                return f"{element.exception.type}: {element.exception.message[:100]}"
            text = getattr(getattr(element, what or "", None), "body", "")
            if "Traceback (most recent" in text or "fault in the program" in text:
                return f"it says {text[:100]}"
            seen += what in ("heading", "markdown", "alert", "plotly_chart", "arrow_data_frame")
        elif kind == "page_not_found" and page:
            return "there is no such page"
        elif kind == "session_event" and told.session_event.WhichOneof("type") == "script_compilation_exception":
            return "it does not compile"
        elif kind == "script_finished" and told.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
            return None if seen else "blank"


def wander(ground: Ground, steps: int, random: Random, _index: int, _room: Path) -> Outcome:
    """Chromium, clicked at random."""
    from tests.faults.screen import wander as wanders

    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)  # Chromium reserves more than a try may
    blank = wanders(steps, random.randrange(2**32), (ground.home / "address.txt").read_text())
    return Outcome("not held" if blank else "held", f"{blank} of {steps} pages were blank")


def kinds(ground: Ground, visitors: int, steps: int) -> list[Kind]:
    """Visitors, all at once, and one that wanders in Chromium."""
    promise = f"{PAGES} pages each by links of nonsense, all visitors at once: no fault, no blank page"
    found = [
        Kind("visitor", promise, partial(visit, ground), visitors, PAGES * PATIENCE, 8.0, ("server",), at_once=True)
    ]
    if steps and os.path.isfile(Path(__file__).with_name("screen.py")):
        found.append(
            Kind("wander", "no blank page", partial(wander, ground, steps), 1, 60 + 20 * steps, 4 * steps, ("server",))
        )
    return found
