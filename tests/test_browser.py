"""The main journey in a real browser: look, click a cell, start a transfer, close the tab, find it again, stop it, compare.

Needs Chromium (Debian's `chromium`, or set PKT_CHROMIUM). Screenshots go to tests/screenshots, which git ignores. What visitors do is in browsing.py.
"""

from __future__ import annotations

import contextlib
import re

import pytest
from browsing import SHOTS, SLOW, WAIT, click_cell, no_error, reads, settled, visit, visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("", "Two models side by side"),
        ("alignment", "Where do the layers agree?"),
        ("latent_map", "Both latent spaces in one picture"),
        ("inspector", "What does a state encode?"),
        ("transfer", "Run a transfer"),
        ("families", "Compare methods"),
        ("factors", "What predicts transfer gain?"),
        ("behaviour", "What changed, and at what cost?"),
        ("tokens", "Where did predictions change?"),
        ("benchmarks", "Standard benchmarks"),
        ("runs", "Runs"),
    ],
)
def test_every_page_opens_for_a_first_visitor(page, server, path, title):
    visit(page, f"{server}/{path}", title)
    no_error(page, f"page-{path or 'pair'}")


def test_the_first_visit_shows_recorded_results_and_computes_nothing(page, server):
    page.add_init_script(
        "new MutationObserver(() => window.computed ||= !!document.querySelector('[data-testid=stMain] [data-testid=stProgress]'))"
        ".observe(document, {childList: true, subtree: true})"
    )
    visit(page, server, "Two models side by side")
    page.get_by_text("recorded").first.wait_for()
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    reads(page, "4,093 tokens", "The student gained 12 points")
    settled(page)
    assert page.evaluate("window.computed") is False


def test_the_tour_goes_through_the_recorded_run_and_keeps_what_the_link_holds(page, server):
    from playwright.sync_api import TimeoutError, expect

    visit(page, server, "Two models side by side")
    page.get_by_role("button", name="Take the tour, one minute").click()
    titles = [
        "Two models side by side",
        "Where do the layers agree?",
        "Both latent spaces in one picture",
        "Run a transfer",
        "What changed, and at what cost?",
    ]
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
        expect(page.locator("input[aria-label='Seed']").first).to_have_value("3", timeout=WAIT)
        with contextlib.suppress(TimeoutError):  # Streamlit drops a message for the link where a redrawing overtakes it
            page.wait_for_url("**seed=3**", timeout=5000)
            linked += 1
        page.get_by_role("button", name="Next").click()
    assert linked >= 3
    page.get_by_text("6 of 7").wait_for()
    no_error(page, "tour")
    page.get_by_role("button", name="Skip", exact=True).click()
    page.get_by_text("6 of 7").wait_for(state="detached")


def test_clicking_a_cell_picks_the_layer_pair_on_every_page_and_in_the_link(page, server):
    visit(page, f"{server}/alignment", "Where do the layers agree?")
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    settled(page)
    click_cell(page, 4, 1)
    page.wait_for_url(re.compile("tl=4.*sl=1|sl=1.*tl=4"))
    page.get_by_text("Teacher layer 4 and student layer 1: similarity").wait_for()
    no_error(page, "clicked-cell")
    link = page.url
    page.get_by_role("link", name="Transfer", exact=True).click()
    page.get_by_text("Teacher layer 4 teaches student layer 1, chosen in the sidebar").wait_for()
    # The link is the view: a fresh visitor sees the same choice.
    visit(page, link, "Where do the layers agree?")
    page.get_by_text("Teacher layer 4 and student layer 1: similarity").wait_for()


def test_values_a_link_cannot_mean_give_defaults_and_a_notice(page, server):
    visit(page, f"{server}/alignment?pair=nonsense&tl=99", "Where do the layers agree?")
    reads(page, "nonsense")
    settled(page)
    visit(page, f"{server}/behaviour?run=%3Cscript%3Ealert(1)%3C/script%3E", "What changed, and at what cost?")
    reads(page, "cannot be shown")
    settled(page)


def test_a_transfer_survives_a_closed_tab_and_can_be_stopped_and_compared(chromium, server, run_folders, few, tmp_path):
    with visitor(chromium) as first:
        page = first.page
        visit(page, f"{server}/transfer?{few}&tl=5&sl=2&steps=20000", "Run a transfer")
        page.get_by_role("button", name="Start the transfer").click()
        page.wait_for_url("**run=**")
        link = page.url
        page.get_by_text(re.compile(r"step \d+ of 20000")).first.wait_for(timeout=SLOW)
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        page.screenshot(path=SHOTS / "transfer-running.png", full_page=True)
    # The tab is closed; the run is a process of its own.
    with visitor(chromium) as second:
        page = second.page
        visit(page, link, "Run a transfer")
        page.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_text("stopped", exact=True).first.wait_for(timeout=SLOW)
        page.screenshot(path=SHOTS / "transfer-stopped.png", full_page=True)

        visit(page, f"{server}/transfer?{few}&tl=5&sl=2&steps=40&method=sft", "Run a transfer")
        page.get_by_role("button", name="Start the transfer").click()
        page.wait_for_url("**run=**")
        run = page.url.split("run=")[1].split("&")[0]
        page.get_by_text("See its behaviour").first.wait_for(timeout=2 * SLOW)
        assert (run_folders / run / "results.json").is_file()
        visit(page, f"{server}/behaviour?run={run}", "What changed, and at what cost?")
        page.get_by_text("The student").first.wait_for()
        page.screenshot(path=SHOTS / "behaviour.png", full_page=True)

        visit(page, f"{server}/runs?run={run}&with=demo-semalign-v1", "Runs")
        page.get_by_text("Report (HTML)").wait_for()
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        with page.expect_download() as download:
            page.get_by_role("button", name="Report (HTML)").click()
        download.value.save_as(tmp_path / "report.html")
        assert run in (tmp_path / "report.html").read_text(encoding="utf-8")
        page.screenshot(path=SHOTS / "runs-compared.png", full_page=True)


@pytest.mark.usefixtures("run_folders")
def test_a_family_is_started_reordered_by_another_visitor_and_followed_to_its_table(chromium, server, few):
    tall = {"viewport": {"width": 1280, "height": 1600}}
    with visitor(chromium, **tall) as one, visitor(chromium, **tall) as other:
        first, second = one.page, other.page
        # Steps enough that the first run is not over before the second visitor has found it, beside other tests too.
        link = f"transfer?{few}&tl=5&sl=2&steps=150&seeds=1&rivals=sft&controls=permuted+vocabulary"
        visit(first, f"{server}/{link}", "Run a transfer")
        first.get_by_role("button", name="Run as a family (3 runs)").click(timeout=SLOW)
        first.get_by_text("1 running, 2 waiting").wait_for(timeout=SLOW)
        visit(second, f"{server}/transfer", "Run a transfer")
        for page in (first, second):
            page.get_by_text("1 running, 2 waiting").wait_for(timeout=SLOW)
        second.get_by_role("button", name=re.compile(r"(^|\s)Up$")).nth(1).click()
        for page in (first, second):  # both see the new order
            page.get_by_text(re.compile(r"^1\. permuted vocabulary")).wait_for()
        second.screenshot(path=SHOTS / "transfer-queue.png", full_page=True)
        first.get_by_role("link", name="See the family's table").click()
        first.get_by_text("3 of 3 runs done").wait_for(timeout=600_000)
        first.locator(".js-plotly-plot .main-svg").first.wait_for()
        first.get_by_text(re.compile("leads with|is ahead|beats ")).first.wait_for(
            timeout=SLOW
        )  # the last one's row is there
        first.get_by_text("of 1 controls").or_(first.get_by_text("of its controls (1)")).first.wait_for()
        no_error(first, "families")


def test_umap_comes_when_it_is_ready(page, server):
    visit(page, f"{server}/latent_map?tl=5&sl=2&picture=joined+by+a+map", "Both latent spaces in one picture")
    page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=SLOW)
    page.get_by_text("umap", exact=True).click()
    page.get_by_text("UMAP 1").first.wait_for(timeout=2 * SLOW)
    no_error(page, "latent-umap")


def test_a_lasso_picks_prompts_for_every_page_and_is_the_link(page, server):
    visit(page, f"{server}/latent_map?tl=5&sl=2&run=demo-semalign-v1&points=100", "Both latent spaces in one picture")
    page.get_by_text("student after, layer 2").first.wait_for(timeout=SLOW)
    page.get_by_text("UMAP 1 (no unit)").first.wait_for(timeout=2 * SLOW)  # PCA until then, in the same panels
    settled(page)
    panel = page.locator(".js-plotly-plot .nsewdrag").nth(2).bounding_box()
    x, y, w, h = (panel[key] for key in ("x", "y", "width", "height"))
    page.mouse.move(x + 0.02 * w, y + 0.02 * h)
    page.mouse.down()
    for across, down in ((0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.03)):
        page.mouse.move(x + across * w, y + down * h, steps=6)
    page.mouse.up()
    page.wait_for_url("**picked=**")
    page.get_by_role("button", name="Clear 100 picked").wait_for()  # all of that panel
    page.get_by_text("40 of 100 picked prompts").wait_for(timeout=SLOW)  # both models' next tokens
    no_error(page, "latent-lasso")
    page.get_by_role("link", name="Alignment", exact=True).click()
    page.get_by_text("over the 100 picked prompts").wait_for(timeout=SLOW)
    no_error(page, "alignment-picked")
    page.get_by_role("link", name="Behaviour", exact=True).click()
    page.get_by_text("12 of 100 picked prompts").wait_for(timeout=SLOW)
    link = page.url
    no_error(page, "behaviour-picked")
    # The link is the selection: a fresh visitor has it too, and can clear it for all pages.
    visit(page, link, "What changed, and at what cost?")
    page.get_by_role("button", name="Clear 100 picked").click()
    page.get_by_role("button", name="Clear 100 picked").wait_for(state="detached")
    page.wait_for_url(lambda url: "picked=" not in url)


def test_a_clicked_token_is_read_in_both_models_and_kept_in_the_link(page, server):
    visit(page, f"{server}/inspector?tl=5&sl=2&text=the+king+of+the+city", "What does a state encode?")
    page.get_by_text("Nearest tokens at “·city”").wait_for(timeout=SLOW)
    page.get_by_role("radio", name=re.compile("^·the")).or_(
        page.get_by_role("button", name=re.compile("^·the"))
    ).click()
    page.get_by_text("Nearest tokens at “·the”").wait_for()
    page.wait_for_url(re.compile(r"at=14"))
    page.get_by_text("Matches prediction").first.wait_for(timeout=SLOW)
    no_error(page, "inspector-token")
    link = page.url
    visit(page, link, "What does a state encode?")  # the link is the view
    page.get_by_text("Nearest tokens at “·the”").wait_for()
    page.locator(".js-plotly-plot .main-svg").nth(2).wait_for()
    settled(page)
