"""The pairing drawn by hand in a real browser: by dragging, by clicking, by keyboard; in the link, and in the plan of the run that starts.

Needs Chromium, as test_browser.py does.
"""

from __future__ import annotations

import json
import re

import pytest
from browsing import SHOTS, eventually, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def centre(page, layer):
    box = page.locator(f"[data-layer='{layer}']").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def told(page, pairs):
    """Wait until the link says so."""
    page.wait_for_url(re.compile("drawn=" + ",".join(pairs).replace(":", "(%3A|:)").replace(",", "(%2C|,)") + "(&|$)"))
    page.get_by_text("By hand: ").wait_for()
    drawn(page, pairs)


def drawn(page, pairs):
    """Wait until these lines are drawn and no other."""
    lines = page.locator("[data-line]")
    eventually(page, lambda: lines.evaluate_all("all => all.map(one => one.dataset.line).sort()"), sorted(pairs))


def test_a_pairing_is_drawn_kept_in_the_link_and_started_with(server, page, run_folders):
    page.goto(f"{server}/transfer?steps=2&nx=32&tl=1&sl=0")
    page.locator("[data-line='1:0']").wait_for(state="attached")
    page.get_by_role("button", name="Student layer 2, not paired").wait_for()
    settled(page)

    start, end = centre(page, "teacher-5"), centre(page, "student-2")  # drag
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=8)
    page.mouse.up()
    told(page, ["1:0", "5:2"])

    page.locator("[data-layer='student-1']").click()  # press two layers
    page.locator("[data-layer='teacher-3']").click()
    told(page, ["1:0", "3:1", "5:2"])
    page.screenshot(path=SHOTS / "stacks.png")

    page.locator("[data-layer='student-0']").focus()  # by keyboard: take one away, join it anew
    page.keyboard.press("Delete")
    told(page, ["3:1", "5:2"])
    page.keyboard.press("Enter")
    page.locator("[data-layer='teacher-3']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    told(page, ["2:0", "3:1", "5:2"])

    page.locator("[data-line='3:1'] .wide").click(force=True)  # press a line
    told(page, ["2:0", "5:2"])

    again = page.context.browser.new_context().new_page()  # the link is the view
    again.goto(page.url)
    again.get_by_text("By hand: 2 teaches 0, 5 teaches 2").wait_for(timeout=60_000)
    again.locator("[data-line='5:2']").wait_for(state="attached", timeout=60_000)
    drawn(again, ["2:0", "5:2"])
    again.context.close()

    page.get_by_role("button", name="Start the transfer").click()
    page.wait_for_url("**run=**")
    (plan,) = run_folders.glob("*/plan.json")
    assert json.loads(plan.read_text())["layer_pairs"] == "2:0,5:2"

    page.get_by_role("button", name="Back to automatic").click()
    page.get_by_text("chosen in the sidebar").wait_for()
    drawn(page, ["1:0"])
