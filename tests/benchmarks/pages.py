"""The dashboard in Chromium, beside a Streamlit page of one title, one control and one heatmap: what the framework and the
browser take alone. Seconds to the title, to the first picture, and from a choice to its words, on a warm server.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.serving import CHROMIUM, FLAGS, ROOT, served

ROUNDS = 5
BARE = """
import plotly.graph_objects as go
import streamlit as st

st.set_page_config(layout="wide")
st.title("Bare")
chosen = st.selectbox("Measure", ["a", "b", "c"])
st.write(f"chosen: {chosen}")
st.plotly_chart(go.Figure(go.Heatmap(z=[[1, 2], [3, 4]])))
"""
TITLE = "title => [...document.querySelectorAll('h1')].some(head => head.textContent.includes(title))"
PICTURE = "() => document.querySelector('.js-plotly-plot .main-svg') !== null"
CLICKED = (
    "() => document.addEventListener('click', () => { window.began = performance.now() }, {capture: true, once: true})"
)
SINCE_CLICK = """words => new Promise(done => {
  const look = () => document.body.innerText.includes(words) ? done((performance.now() - window.began) / 1000) : requestAnimationFrame(look)
  look()
})"""


@contextlib.contextmanager
def opened(browser: Browser, address: str, title: str) -> Iterator[tuple[Page, float, float]]:
    """A fresh visitor on the page, with the seconds until its title and until its first picture."""
    context = browser.new_context(viewport={"width": 1280, "height": 1200})
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(TITLE, arg=title, polling="raf")
    shell = time.perf_counter() - began
    page.wait_for_function(PICTURE, polling="raf")
    yield page, shell, time.perf_counter() - began
    context.close()


def choice(page: Page, control: str, option: str, words: str) -> float:
    """Seconds from the click on an option to words that only it brings."""
    page.get_by_role("combobox", name=control).first.click()
    entry = page.get_by_role("option", name=option, exact=True)
    entry.wait_for()
    page.wait_for_timeout(300)  # the list has opened wholly
    page.evaluate(CLICKED)
    entry.click(no_wait_after=True)
    return float(page.evaluate(SINCE_CLICK, words))


def against_a_bare_page() -> None:
    if CHROMIUM is None:
        print("Pages: no Chromium found, not measured")
        return
    seen: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        script = Path(folder) / "bare.py"
        script.write_text(BARE)
        caches = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        bare = stack.enter_context(served(script, Path(folder), caches[0]))
        ours = stack.enter_context(served("dashboard/app.py", ROOT, caches[1]))
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        pages = {
            "bare page": (bare, "Bare"),
            "Pair": (ours, "Two models side by side"),
            "Alignment": (f"{ours}/alignment", "Where do the layers agree?"),
        }
        for turn in range(ROUNDS + 1):  # the first warms both servers
            for name, (address, title) in pages.items():
                with opened(browser, address, title) as (page, shell, picture):
                    page.wait_for_timeout(2000)
                    found = {"title": [shell], "first picture": [picture]}
                    if name == "bare page":
                        found["choice"] = [choice(page, "Measure", option, f"chosen: {option}") for option in "bc"]
                    if name == "Alignment":
                        words = {"rbf_cka": "CKA (biased, RBF)", "mutual_knn": "Mutual nearest neighbours"}
                        found["choice"] = [
                            choice(page, "Measure", option, f"{label}, ") for option, label in words.items()
                        ]
                for what, times in found.items():
                    seen.setdefault(f"{name}: {what}", []).extend(times if turn else [])
        browser.close()
    for what, times in seen.items():
        print(f"{what} {statistics.median(times):.2f} s (from {min(times):.2f} to {max(times):.2f}, n = {len(times)})")
    for name, what, aim in (
        ("Pair", "title", 1),
        ("Pair", "first picture", 3),
        ("Alignment", "title", 1),
        ("Alignment", "first picture", 3),
        ("Alignment", "choice", 0.3),
    ):
        ratio = statistics.median(seen[f"{name}: {what}"]) / statistics.median(seen[f"bare page: {what}"])
        print(f"{name}, {what}: {ratio:.2f} of the bare page's (aim: at most {aim} s)")


if __name__ == "__main__":
    against_a_bare_page()
