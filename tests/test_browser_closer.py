"""The closer look in a real browser: click a cell, pin it, click another, click a point, reopen the link as a fresh visitor.

Needs Chromium, as test_browser.py does.
"""

from __future__ import annotations

import re

import pytest
from browsing import SHOTS, SLOW, WAIT, click_cell, eventually, point_at, settled, visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


def closer(tab, teacher, student):
    """The closer look names that pair of layers and is there."""
    tab.get_by_role("heading", name=f"A closer look at teacher layer {teacher} and student layer {student}").wait_for()
    tab.get_by_role("link", name="See it on the latent map", exact=True).first.wait_for(timeout=SLOW)
    settled(tab)


def scatter(tab, *axes):
    """The plot of the closer look, once these are the titles of its axes up to their units."""
    plot = tab.locator(".st-key-figure-closer .js-plotly-plot")
    plot.locator(".main-svg").first.wait_for()
    titles = "div => Object.keys(div._fullLayout).filter(k => /^[xy]axis/.test(k)).sort().map(k => div._fullLayout[k].title.text.split(' (')[0])"
    eventually(tab, lambda: plot.evaluate(titles), list(axes))
    return plot


def both_shown(tab):
    closer(tab, 1, 0)
    tab.get_by_text("Pinned: teacher layer 4, student layer 1.").wait_for()
    tab.get_by_text(re.compile("^Chosen − pinned: by all pairs of prompts")).wait_for(timeout=SLOW)
    scatter(
        tab,
        "Cosine in student layer 0",
        "Cosine in student layer 1",
        "Cosine in teacher layer 1",
        "Cosine in teacher layer 4",
    )
    grid = tab.locator(".js-plotly-plot").first
    marks = (
        "div => div._fullLayout.shapes.map(s => [s.name, s.x0, s.y0]).filter(s => ['chosen', 'pinned'].includes(s[0]))"
    )
    eventually(tab, lambda: sorted(grid.evaluate(marks)), [["chosen", -0.47, 0.55], ["pinned", 0.53, 3.55]])


def test_a_cell_is_clicked_pinned_and_compared_and_the_link_reopens_it(page, chromium, server):
    visit(
        page, f"{server}/alignment?n=128", "Where do the layers agree?"
    )  # other tests ask about fewer prompts or more
    settled(page)
    page.get_by_role("button", name="Look at these two layers").wait_for()  # nothing is computed unasked
    click_cell(page, 4, 1)
    closer(page, 4, 1)
    scatter(page, "Cosine in student layer 1", "Cosine in teacher layer 4")
    page.get_by_role("button", name="Pin this pair of layers").click()
    page.wait_for_url(re.compile(r"pin=4\.1"))
    settled(page)
    click_cell(page, 1, 0)
    page.wait_for_url(re.compile("tl=1.*sl=0|sl=0.*tl=1"))
    both_shown(page)
    page.screenshot(path=SHOTS / "closer-pinned.png", full_page=True)
    link = page.url

    fresh = chromium.new_context(viewport={"width": 1280, "height": 1200}).new_page()
    fresh.set_default_timeout(WAIT)
    visit(fresh, link, "Where do the layers agree?")
    both_shown(fresh)
    fresh.get_by_role("button", name="Swap").click()
    closer(fresh, 4, 1)
    fresh.wait_for_url(re.compile(r"pin=1\.0"))
    fresh.get_by_role("button", name="Unpin").click()
    fresh.get_by_text("Pinned: teacher layer 1, student layer 0.").wait_for(state="detached")
    closer(fresh, 4, 1)
    fresh.wait_for_url(lambda url: "pin=" not in url)
    fresh.context.close()


def test_a_point_and_a_row_pick_their_prompts_for_every_page(page, server):
    visit(page, f"{server}/alignment?tl=5&sl=2", "Where do the layers agree?")
    closer(page, 5, 2)
    plot = scatter(page, "Cosine in student layer 2", "Cosine in teacher layer 5")
    most = "(t => { const i = t.x.indexOf(Math.max(...t.x)); return [t.x[i], t.y[i]] })(div._fullData[0])"
    first, second = point_at(page, plot, most)["data"][:2]
    page.mouse.down()
    page.mouse.up()
    page.get_by_role("button", name="Clear 2 picked").wait_for()
    picked = page.get_by_role("textbox", name="Picked prompts")
    eventually(page, picked.input_value, f"{first}, {second}")
    page.get_by_text("one of them picked").first.wait_for(timeout=SLOW)
    page.get_by_text("2 of 2 picked prompts").wait_for(timeout=SLOW)  # what both models say next
    settled(page)
    table = page.locator(".st-key-table-closer-prompts canvas").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 18, box["y"] + 52)  # the box of the first row, drawn on a canvas
    page.get_by_role("button", name="Clear 1 picked").wait_for()
    eventually(page, lambda: picked.input_value().isdecimal(), True)
    first = picked.input_value()
    page.get_by_role("link", name="See it on the latent map", exact=True).first.click()
    page.get_by_role("heading", name="Both latent spaces in one picture", level=1).wait_for()
    page.wait_for_url(re.compile("tl=5.*sl=2|sl=2.*tl=5"))
    eventually(page, picked.input_value, first)


@pytest.mark.parametrize("bad", ["9.1", "nonsense"])
def test_a_bad_pin_in_a_link_is_said_and_gone(page, server, bad):
    visit(page, f"{server}/alignment?tl=5&sl=2&pin={bad}", "Where do the layers agree?")
    page.get_by_text(f"{bad}, which is no pair of layers here").wait_for()
    pinned = page.get_by_role("textbox", name="Pinned layers")
    eventually(page, pinned.input_value, "")
    page.wait_for_url(lambda url: "pin=" not in url)
    settled(page)
    pinned.fill("7.7")  # one that is typed is treated alike
    page.keyboard.press("Enter")
    page.get_by_text("7.7, which is no pair of layers here").wait_for()
    eventually(page, pinned.input_value, "")
    settled(page)
    assert "pin=" not in page.url
