"""The main journey in a real browser: look, click a cell, start a transfer, close the tab, find it again, stop it, compare.

Needs Chromium (Debian's `chromium`, or set PKT_CHROMIUM). Screenshots go to tests/screenshots, which git ignores.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from serving import CHROMIUM, FLAGS, ROOT, served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
SHOTS = ROOT / "tests" / "screenshots"
WAIT = 60_000  # milliseconds; generous, because a shared machine may be slow


@pytest.fixture(scope="module")
def server_cache(tmp_path_factory):
    """An empty cache: what a first visitor has."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def server(server_cache):
    """The app as the README starts it."""
    try:
        with served("dashboard/app.py", ROOT, server_cache) as address:
            yield address
    finally:
        for path in (server_cache / "runs").glob("worker.json"):  # a failed test must not leave its runs behind
            with contextlib.suppress(ProcessLookupError):
                os.kill(json.loads(path.read_text())["pid"], signal.SIGKILL)
        for path in server_cache.glob("runs/*/process.json"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(json.loads(path.read_text())["process"]["pid"], signal.SIGKILL)


@pytest.fixture(scope="module")
def chromium():
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
def page(chromium):
    """A fresh visitor; the test fails on any error in the page's own scripts."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1200})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert not faults


def visit(page, address, title):
    page.goto(address)
    page.get_by_role("heading", name=title, level=1).wait_for()


def settled(page):
    """Streamlit has finished drawing."""
    page.get_by_test_id("stStatusWidget").wait_for(state="detached")
    assert page.get_by_test_id("stException").count() == 0


def no_error(page, name):
    settled(page)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("", "Can these two talk?"),
        ("alignment", "Where do they agree?"),
        ("latent_map", "What does it look like?"),
        ("inspector", "What does a state mean?"),
        ("transfer", "Make it flow"),
        ("families", "Which method wins, and against which control?"),
        ("factors", "What eases it?"),
        ("behaviour", "What changed?"),
        ("tokens", "Where did it change?"),
        ("benchmarks", "Does it score differently where the field looks?"),
        ("runs", "What have we done?"),
    ],
)
def test_every_page_opens_for_a_first_visitor(page, server, path, title):
    visit(page, f"{server}/{path}", title)
    no_error(page, f"page-{path or 'pair'}")


def test_the_first_visit_shows_recorded_results_at_once(page, server):
    began = time.monotonic()
    visit(page, server, "Can these two talk?")
    page.get_by_text("recorded").first.wait_for()
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    assert time.monotonic() - began < 15
    text = page.inner_text("body")
    assert "4,093 tokens" in text
    assert "The student gained on" in text


def test_the_tour_goes_through_the_recorded_run_and_keeps_what_the_link_holds(page, server):
    from playwright.sync_api import TimeoutError

    visit(page, server, "Can these two talk?")
    page.get_by_role("button", name="Take the tour, one minute").click()
    titles = ["Can these two talk?", "Where do they agree?", "What does it look like?", "Make it flow", "What changed?"]
    page.get_by_text("1 of 7").wait_for()
    page.get_by_text("Advanced").first.click()
    page.locator("input[aria-label='Seed']").first.fill("3")
    page.keyboard.press("Enter")
    page.wait_for_url("**seed=3**")
    linked = 0
    for number, title in enumerate(titles, 1):
        page.get_by_role("heading", name=title, level=1).wait_for()
        page.get_by_text(f"{number} of 7").wait_for()
        settled(page)
        assert page.locator("input[aria-label='Seed']").first.input_value() == "3"
        with contextlib.suppress(TimeoutError):  # Streamlit drops a message for the link where a redrawing overtakes it
            page.wait_for_url("**seed=3**", timeout=5000)
            linked += 1
        page.get_by_role("button", name="Next").click()
    assert linked >= 3
    page.get_by_text("6 of 7").wait_for()
    no_error(page, "tour")
    page.get_by_role("button", name="Skip", exact=True).click()
    page.get_by_text("6 of 7").wait_for(state="detached")


def click_cell(page, teacher, student):
    """Click a heatmap cell where a person would: in the middle of it."""
    plot = page.locator(".js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    place = plot.evaluate(
        """(div, [x, y]) => { const l = div._fullLayout, box = div.getBoundingClientRect();
        return [box.left + l.xaxis._offset + l.xaxis.d2p(x), box.top + l.yaxis._offset + l.yaxis.d2p(y)] }""",
        [student, teacher],
    )
    page.mouse.move(*place)
    page.wait_for_timeout(400)  # Plotly selects what is hovered
    page.mouse.down()
    page.mouse.up()


def test_clicking_a_cell_picks_the_layer_pair_on_every_page_and_in_the_link(page, server):
    visit(page, f"{server}/alignment", "Where do they agree?")
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    settled(page)
    click_cell(page, 4, 1)
    page.wait_for_url(re.compile("tl=4.*sl=1|sl=1.*tl=4"))
    page.get_by_text("Teacher layer 4 and student layer 1: similarity").wait_for()
    no_error(page, "clicked-cell")
    link = page.url
    page.get_by_role("link", name="Transfer").click()
    page.get_by_text("Teacher layer 4 teaches student layer 1, chosen in the bar").wait_for()
    # The link is the view: a fresh visitor sees the same choice.
    visit(page, link, "Where do they agree?")
    page.get_by_text("Teacher layer 4 and student layer 1: similarity").wait_for()


def test_values_a_link_cannot_mean_give_defaults_and_a_notice(page, server):
    visit(page, f"{server}/alignment?pair=nonsense&tl=99", "Where do they agree?")
    settled(page)
    assert "nonsense" in page.inner_text("body")
    visit(page, f"{server}/behaviour?run=%3Cscript%3Ealert(1)%3C/script%3E", "What changed?")
    settled(page)
    assert "cannot be shown" in page.inner_text("body")


def test_a_transfer_survives_a_closed_tab_and_can_be_stopped_and_compared(chromium, server, server_cache, few):
    def visitor():
        page = chromium.new_context(viewport={"width": 1280, "height": 1200}).new_page()
        page.set_default_timeout(WAIT)
        return page

    first = visitor()
    visit(first, f"{server}/transfer?{few}&tl=5&sl=2&steps=20000", "Make it flow")
    first.get_by_role("button", name="Start the transfer").click()
    first.wait_for_url("**run=**")
    link = first.url
    first.get_by_text(re.compile(r"step \d+ of 20000")).first.wait_for(timeout=120_000)
    first.locator(".js-plotly-plot .main-svg").first.wait_for()
    first.screenshot(path=SHOTS / "transfer-running.png", full_page=True)
    first.context.close()  # the tab is closed; the run is a process of its own

    second = visitor()
    visit(second, link, "Make it flow")
    second.get_by_role("button", name="Stop", exact=True).click()
    second.get_by_text("stopped", exact=True).first.wait_for(timeout=120_000)
    second.screenshot(path=SHOTS / "transfer-stopped.png", full_page=True)

    visit(second, f"{server}/transfer?tl=5&sl=2&steps=40&method=sft", "Make it flow")
    second.get_by_role("button", name="Start the transfer").click()
    second.wait_for_url("**run=**")
    run = second.url.split("run=")[1].split("&")[0]
    status = server_cache / "runs" / run / "status.json"
    for _ in range(480):
        if status.is_file() and json.loads(status.read_text())["state"] not in ("queued", "running"):
            break
        time.sleep(0.5)
    second.get_by_text("See its behaviour").first.wait_for()
    visit(second, f"{server}/behaviour?run={run}", "What changed?")
    second.get_by_text("The student").first.wait_for()
    second.screenshot(path=SHOTS / "behaviour.png", full_page=True)

    visit(second, f"{server}/runs?run={run}&with=demo-semalign-v1", "What have we done?")
    second.get_by_text("Report (HTML)").wait_for()
    second.locator(".js-plotly-plot .main-svg").first.wait_for()
    with second.expect_download() as download:
        second.get_by_role("button", name="Report (HTML)").click()
    assert Path(download.value.path()).stat().st_size > 100_000
    second.screenshot(path=SHOTS / "runs-compared.png", full_page=True)
    second.context.close()


@pytest.fixture
def few(server_cache):
    """The demo models with a handful of questions: a run of seconds."""
    from pkt_core.data.examples import demo_facts

    asked = demo_facts()["demo/unknown-seen"].items[:24]
    lines = [json.dumps({"prompt": item.prompt, "answer": item.answer}) for item in asked]
    file = server_cache / "few.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return f"pair=custom&teacher=demo:teacher&student=demo:student&examples={quote(str(file))}"


def test_a_family_is_started_reordered_by_another_visitor_and_followed_to_its_table(chromium, server, few):
    def visitor():
        page = chromium.new_context(viewport={"width": 1280, "height": 1600}).new_page()
        page.set_default_timeout(WAIT)
        return page

    first, second = visitor(), visitor()
    # Steps enough that the first run is not over before the second visitor has found it, beside other tests too.
    link = f"transfer?{few}&tl=5&sl=2&steps=150&seeds=1&rivals=sft&controls=permuted+vocabulary"
    visit(first, f"{server}/{link}", "Make it flow")
    first.get_by_role("button", name="Run as a family (3 runs)").click(timeout=120_000)
    visit(second, f"{server}/transfer", "Make it flow")
    for page in (first, second):
        page.get_by_text("1 running, 2 waiting").wait_for(timeout=120_000)
    second.get_by_role("button", name="Up").nth(1).click()
    for page in (first, second):  # both see the new order
        page.get_by_text(re.compile(r"^1\. permuted vocabulary")).wait_for()
    second.screenshot(path=SHOTS / "transfer-queue.png", full_page=True)
    first.get_by_role("link", name="See the table of the family grow").click()
    first.get_by_text("3 of 3 runs done").wait_for(timeout=600_000)
    first.locator(".js-plotly-plot .main-svg").first.wait_for()
    first.get_by_text(re.compile("sft (wins|is ahead)|than sft")).wait_for(
        timeout=120_000
    )  # the last one's row is there
    first.get_by_text("of 1 controls").or_(first.get_by_text("of its 1 controls")).wait_for()
    settled(first)
    first.screenshot(path=SHOTS / "families.png", full_page=True)
    for page in (first, second):
        page.context.close()


def test_umap_comes_when_it_is_ready(page, server):
    visit(page, f"{server}/latent_map?tl=5&sl=2&picture=joined+by+a+map", "What does it look like?")
    page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=240_000)
    page.get_by_text("umap", exact=True).click()
    page.get_by_text("UMAP 1").first.wait_for(timeout=480_000)
    no_error(page, "latent-umap")


def test_a_lasso_picks_prompts_for_every_page_and_is_the_link(page, server):
    visit(page, f"{server}/latent_map?tl=5&sl=2&run=demo-semalign-v1&points=100", "What does it look like?")
    page.get_by_text("student after, layer 2").first.wait_for(timeout=240_000)
    page.get_by_text("UMAP 1 (no unit)").first.wait_for(timeout=480_000)  # PCA until then, in the same panels
    page.wait_for_timeout(2000)
    panel = page.locator(".js-plotly-plot .nsewdrag").nth(2).bounding_box()
    x, y, w, h = (panel[key] for key in ("x", "y", "width", "height"))
    page.mouse.move(x + 0.02 * w, y + 0.02 * h)
    page.wait_for_timeout(300)
    page.mouse.down()
    for across, down in ((0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.03)):
        page.mouse.move(x + across * w, y + down * h, steps=6)
    page.mouse.up()
    page.wait_for_url("**picked=**")
    page.get_by_role("button", name="Clear 100 picked").wait_for()  # all of that panel
    page.get_by_text("40 of 100 picked prompts").wait_for(timeout=120_000)  # both models' next tokens
    no_error(page, "latent-lasso")
    page.get_by_role("link", name="Alignment", exact=True).click()
    page.get_by_text("by the 100 picked prompts").wait_for(timeout=240_000)
    no_error(page, "alignment-picked")
    page.get_by_role("link", name="Behaviour").click()
    page.get_by_text("12 of 100 picked prompts").wait_for(timeout=240_000)
    link = page.url
    no_error(page, "behaviour-picked")
    # The link is the selection: a fresh visitor has it too, and can clear it for all pages.
    visit(page, link, "What changed?")
    page.get_by_role("button", name="Clear 100 picked").click()
    page.get_by_role("button", name="Clear 100 picked").wait_for(state="detached")
    assert "picked=" not in page.url


def test_a_clicked_token_is_read_in_both_models_and_kept_in_the_link(page, server):
    visit(page, f"{server}/inspector?tl=5&sl=2&text=the+king+of+the+city", "What does a state mean?")
    page.get_by_text(re.compile("At “·city”, teacher layer 5")).wait_for(timeout=240_000)
    page.get_by_role("radio", name=re.compile("^·the")).or_(
        page.get_by_role("button", name=re.compile("^·the"))
    ).click()
    page.get_by_text(re.compile("At “·the”")).wait_for()
    page.wait_for_url(re.compile(r"at=14"))
    page.get_by_text("Names the prediction").first.wait_for(timeout=120_000)
    no_error(page, "inspector-token")
    link = page.url
    visit(page, link, "What does a state mean?")  # the link is the view
    page.get_by_text(re.compile("At “·the”")).wait_for()
    page.locator(".js-plotly-plot .main-svg").nth(2).wait_for()
    settled(page)
