"""The screen survives: no blank page on a slow line or at random clicks, a page that went white comes back, typed plans stay.

Needs Chromium, as test_browser.py does.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from browsing import WAIT, eventually

from tests.faults.screen import BLANK, slow_line, something_to_compute, wander

WATCHED = "#root[data-watched]"  # the app's clock has begun
pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.mark.parametrize("seconds", [0.6, 3.0])
def test_next_while_a_step_computes_over_a_slow_line_leaves_no_blank_page(page, server, seconds):
    """The second line is slower than the clock holds still after a click."""
    import random

    with slow_line(server, seconds) as address:
        page.goto(address)
        main = page.get_by_test_id("stMain")
        page.get_by_role("button", name="Take the tour").click()
        something_to_compute(page, random.Random())  # a seed that nobody asked about, tried again too
        for step in (1, 2):
            main.get_by_text(f"{step} of 7").wait_for()
            main.get_by_role("button", name="Next", exact=True).click()
        main.get_by_text("3 of 7").wait_for()
        page.get_by_text("so far").first.wait_for()
        main.get_by_role("button", name="Next", exact=True).click()
        page.get_by_role("heading", name="Run a transfer", level=1).wait_for()
        page.wait_for_timeout(3 * 1000 * seconds + 2000)
        page.get_by_role("heading", name="Run a transfer", level=1).wait_for()
        assert not page.evaluate(BLANK)


def test_random_clicks_in_tour_and_pages_leave_no_blank_page(server):
    with ThreadPoolExecutor(1) as thread:  # it brings a browser of its own
        assert thread.submit(wander, 6, 5, server).result() == 0


def test_a_page_that_went_white_comes_back_once_with_its_link(page, server):
    page.goto(f"{server}/runs?run=demo-sft")
    page.get_by_role("heading", name="Runs", level=1).wait_for()
    page.get_by_test_id("stSidebar").get_by_text("No transfer is running.").wait_for()
    page.locator(WATCHED).wait_for(state="attached")
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    page.evaluate("document.getElementById('root').replaceChildren()")
    page.get_by_role("heading", name="Runs", level=1).wait_for()
    eventually(page, lambda: parse_qs(urlsplit(page.url).query), {"run": ["demo-sft"]})
    page.locator(WATCHED).wait_for(state="attached")
    page.evaluate("document.getElementById('root').replaceChildren()")
    page.wait_for_timeout(5000)
    assert len(loads) == 1, "a page that is white again at once is not loaded for ever"


def test_what_was_typed_into_the_plan_is_there_after_a_reload_and_on_coming_back(page, server):
    def shown(label):
        return page.get_by_test_id("stMain").get_by_label(label, exact=True)

    def holds(label, value):
        page.wait_for_function(
            "([label, value]) => [...document.querySelectorAll('[data-testid=stMain] input')]"
            ".some(box => box.ariaLabel === label && box.value === value)",
            arg=[label, value],
        )

    page.goto(f"{server}/transfer?method=logit-kd&batch=16")
    page.get_by_role("button", name="Start the transfer").wait_for()
    shown("Steps").fill("120")  # neither Enter nor another box
    page.wait_for_function("() => new URLSearchParams(location.search).get('steps') === '120'", timeout=WAIT)
    page.reload()
    page.get_by_role("button", name="Start the transfer").wait_for()
    holds("Steps", "120")
    holds("Batch size", "16")
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Runs", exact=True).click()
    page.get_by_role("heading", name="Runs", level=1).wait_for()
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Transfer", exact=True).click()
    holds("Steps", "120")
    page.wait_for_function("() => new URLSearchParams(location.search).get('steps') === '120'", timeout=WAIT)
