"""Chromium, the app's server of this session, and what visitors do; fixtures for every browser test, and helpers to import.

All browser tests of a process share one server and its store: a test that starts runs asks for `run_folders`, which ends and
removes them, and one that needs something never computed before links to settings of its own. Each visitor has a fresh browser.
Whatever is asserted is waited for: a page that another wait found at rest may still be drawn once more.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from serving import CHROMIUM, FLAGS, ROOT, served

SHOTS = ROOT / "tests" / "screenshots"
WAIT = 60_000  # milliseconds; generous, because a shared machine may be slow
SLOW = 4 * WAIT  # for what reads prompts through both models
PROBE = re.compile(r"/[a-z_]+/_stcore/(health|host-config)$")
"""What Streamlit's own script asks first under a page's address, to find out where the app is mounted; the 404 is its answer."""
STILL = 400  # milliseconds for which a page has to be at rest: what one step of drawing brings may bring another
AT_REST = """still => {
  const main = document.querySelector('[data-testid=stMain]');
  const whole = document.querySelector('h1') && !document.querySelector('[data-testid=stSkeleton], .st-key-until-over')
    && !main.querySelector('[data-testid=stProgress]')
    && [...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(one => one.querySelector('.main-svg'));
  if (!whole) { delete window.wholeSince; return false }
  // A tick of the app's clock runs the script and marks parts as stale as well, on a busy machine for most of a second.
  if (document.querySelector('[data-testid=stApp]').dataset.testScriptState !== 'notRunning') return false;
  if (main.querySelector('[data-stale=true]')) return false;
  window.wholeSince ??= performance.now();
  return performance.now() - window.wholeSince >= still;
}"""
NO_FADES = "() => document.getAnimations().every(one => one.playState !== 'running' || one.effect.getTiming().iterations === Infinity)"


@pytest.fixture(scope="session")
def server_cache(tmp_path_factory) -> Path:
    """The store of the session's server; empty at first."""
    return tmp_path_factory.mktemp("server-cache")


@pytest.fixture(scope="session")
def server(server_cache) -> Iterator[str]:
    """The address of the app as the README starts it."""
    with served("dashboard/app.py", ROOT, server_cache) as address:
        yield address


@pytest.fixture
def run_folders(server_cache) -> Iterator[Path]:
    """Where the runs of a test lie; there are none before, and none is at work or left afterwards."""
    folder = server_cache / "runs"
    yield folder
    for path in (*folder.glob("worker.json"), *folder.glob("*/process.json")):  # the worker first: it starts the next
        with contextlib.suppress(OSError, ValueError, KeyError):
            told = json.loads(path.read_text())
            os.kill(told.get("process", told)["pid"], signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def few(server_cache) -> str:
    """A link's part that names the demo models with a handful of questions: a run of seconds."""
    from pkt_core.data.examples import demo_facts

    asked = demo_facts()["demo/unknown-seen"].items[:24]
    lines = [json.dumps({"prompt": item.prompt, "answer": item.answer}) for item in asked]
    file = server_cache / "few.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return f"pair=custom&teacher=demo:teacher&student=demo:student&examples={quote(str(file))}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser; each visitor is a context of it. It ends with the file: its event loop would be in the way of other tests'."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium found; the browser tests may not be skipped in CI")
        pytest.skip("no Chromium found; install Debian's chromium or set PKT_CHROMIUM")
    from playwright.sync_api import sync_playwright

    SHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium) -> Iterator[Any]:
    """A fresh visitor's page; the test fails on any error in the page's own scripts."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1200})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert not faults


@dataclass
class Visitor:
    """Somebody with a browser of their own."""

    page: Any
    faults: list[str] = field(default_factory=list)


@contextlib.contextmanager
def visitor(browser, **settings) -> Iterator[Visitor]:
    """A fresh browser, in which no error may come: in the console, in a page's scripts, or in what the server answers."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 1000}, **settings})
    who = Visitor(context.new_page())
    who.page.set_default_timeout(WAIT)
    who.page.on("pageerror", lambda error: who.faults.append(str(error)))
    who.page.on("response", lambda got: got.status >= 400 and told(who, f"{got.status} {got.url}", got.url))
    who.page.on(
        "console", lambda said: said.type == "error" and told(who, said.text, (said.location or {}).get("url", ""))
    )
    who.page.on("dialog", lambda box: (who.faults.append(f"a dialog: {box.message}"), box.dismiss()))
    try:
        yield who
    except Exception as error:
        with contextlib.suppress(Exception):  # a page that is gone must not hide why
            error.add_note(seen_then(who))
        raise
    finally:
        context.close()
    assert not who.faults


def seen_then(who: Visitor) -> str:
    """What a visitor had before them when a test failed: it cannot be asked again where the machine is gone."""
    return f"at {who.page.url}\nfaults: {who.faults}\nthe page said:\n{who.page.inner_text('body')[:4000]}"


def told(who: Visitor, words: str, url: str) -> None:
    if not PROBE.search(url):
        who.faults.append(words)


def visit(page, address: str, title: str) -> None:
    """Open an address and see its title."""
    page.goto(address)
    page.get_by_role("heading", name=title, level=1).wait_for()


def open_page(page, address: str) -> None:
    """Open an address and see all of its page."""
    page.goto(address)
    settled(page)


def settled(page) -> None:
    """Wait until everything that the page asked for is there, and has been for a moment; no error may be on it."""
    page.evaluate("() => { delete window.wholeSince }")
    page.wait_for_function(AT_REST, arg=STILL, polling=50, timeout=SLOW)
    assert page.get_by_test_id("stException").count() == 0


def no_error(page, name: str) -> None:
    """The page comes to rest without an error, and its picture is kept."""
    settled(page)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def eventually(page, look: Callable[[], Any], expected: Any, *, patience: int = WAIT) -> None:
    """Look again until it is as expected; where `patience` milliseconds were not enough, the assertion shows the last look."""
    end = time.monotonic() + patience / 1000
    while (seen := look()) != expected and time.monotonic() < end:
        page.wait_for_timeout(100)
    assert seen == expected


def reads(page, *words: str) -> None:
    """Wait until each of these can be read somewhere on the page."""
    for one in words:
        page.wait_for_function("words => document.body.innerText.includes(words)", arg=one)


def point_at(page, plot, point: str) -> Any:
    """Move the mouse to a point of a plot, wait until the plot has noticed, and give what it holds under the mouse.

    `point` is JavaScript that makes data coordinates [x, y] of `div`. A plot that is moved by what is drawn around it is pointed
    at again.
    """
    plot.scroll_into_view_if_needed()
    where = f"""div => {{ const l = div._fullLayout, box = div.getBoundingClientRect(), [x, y] = {point};
        return [box.left + l.xaxis._offset + l.xaxis.d2p(x), box.top + l.yaxis._offset + l.yaxis.d2p(y)] }}"""
    end = time.monotonic() + WAIT / 1000
    while time.monotonic() < end:
        place = plot.evaluate(where)
        page.mouse.move(place[0] + 1, place[1])
        page.mouse.move(*place)
        page.wait_for_timeout(150)  # Plotly looks at most every 50 ms
        under = plot.evaluate("div => (div._hoverdata ?? []).map(one => ({at: [one.x, one.y], data: one.customdata}))")
        if under and plot.evaluate(where) == place:
            return under[0]
    raise AssertionError(f"nothing of the plot is under the mouse at {place}")


def click_cell(page, teacher: int, student: int) -> None:
    """Click a heatmap cell where a person would: in the middle of it, when the page stands still."""
    plot = page.locator(".js-plotly-plot").first
    assert point_at(page, plot, f"[{student}, {teacher}]")["at"] == [student, teacher]
    page.mouse.down()
    page.mouse.up()


def choose(page, label: str, option: str) -> None:
    """Pick from a drop-down as a person would; its list closes when the page still moves, and is opened again."""
    from playwright.sync_api import TimeoutError

    box = page.get_by_role("combobox", name=re.compile(f"^{label}"))
    listed = page.get_by_role("option", name=option, exact=True)
    for _ in range(5):
        box.scroll_into_view_if_needed()
        box.click()
        with contextlib.suppress(TimeoutError):
            listed.click(timeout=WAIT / 6)
            break
    eventually(page, box.input_value, option)


def save_report(page, server: str, run: str, path) -> None:
    """The HTML report of a run, as a person downloads it."""
    open_page(page, f"{server}/runs?run={run}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    download.value.save_as(path)
