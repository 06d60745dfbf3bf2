"""Names and prompts that try to be markup, in a real browser: shown as they are on every page, in figures and in the report.

Needs Chromium, as test_browser.py does.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import recorded_runs
from browsing import SHOTS, open_page, save_report, settled, visitor

from pkt_core.runs import folder as run_folder
from pkt_core.runs.results import read_results, results_json

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
BOLD = "<b>evil</b><a href='http://evil/'>evil</a>"
IMAGE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
LINK = "[evil](javascript:alert(3)) :red[evil] $$evil$$ **evil**"
ODD = "%{x} %s 100% \u202egnp.live\u202c <i>evil</i>\n" + "evil" * 60
BAD = """() => {
  const all = what => [...document.querySelectorAll(what)];
  return {
    made: all("img[src='x'], [onerror], a[href^='javascript'], a[href*='evil']:not([href^='#']), .hoverlayer a, .js-plotly-plot svg a")
      .map(el => el.outerHTML.slice(0, 200)),
    scripts: all('script').map(el => el.textContent).filter(code => code.length < 1000 && code.includes('alert(')),
    styled: all('b, i, strong, em, tspan[style*=bold], tspan[style*=italic], mjx-container, .katex, span[style*=color]')
      .map(el => el.textContent.trim()).filter(words => /^(evil|evilevil)/.test(words)),
  }
}"""
NOTHING = {"made": [], "scripts": [], "styled": []}


@pytest.fixture(scope="module", autouse=True)
def hostile_runs(server_cache):
    """Two finished runs of a family and one that failed, each of whose names is hostile; gone afterwards."""
    renamed = json.dumps(results_json(recorded_runs.hostile()))
    for plain, name in (("demo/unknown-seen", BOLD), ("demo/known-seen", IMAGE)):
        renamed = renamed.replace(json.dumps(plain), json.dumps(name))
    results = replace(read_results(json.loads(renamed), "It"), command=f"pkt {BOLD} {ODD}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PKT_CACHE", str(server_cache))
        for place, (run_id, label) in enumerate((("hostile-one", BOLD), ("hostile-two", LINK))):
            plan = {
                "method": LINK,
                "steps": 20,
                "seed": 0,
                "teacher": {"name": BOLD},
                "student": {"name": f"b/{IMAGE}"},
                "data": ODD,
            }
            made = run_folder.create_run(plan, run_id=run_id, family={"family": IMAGE, "label": label, "place": place})
            made.write_status("running", message=LINK)
            for i in range(1, 21):
                made.append_event(recorded_runs.event(i))
            made.write_results(results)
            made.write_status("done", message=f"{LINK} {IMAGE}")
        failed = run_folder.create_run(
            {"method": BOLD, "steps": 5, "teacher": {"name": IMAGE}}, run_id="hostile-failed"
        )
        failed.write_status("running")
        failed.write_status("failed", message=f"{IMAGE} {LINK} {BOLD}")
    yield
    shutil.rmtree(server_cache / "runs")


def literal(page, *words: str) -> None:
    """These hostile names are there to be read, once the page is drawn wholly, and nothing of them became an element."""
    for one in words:
        page.wait_for_function("words => document.body.textContent.includes(words)", arg=one)
    assert page.evaluate(BAD) == NOTHING


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("runs?run=hostile-one&with=hostile-two", (LINK, BOLD)),
        ("runs?run=hostile-failed", (BOLD, IMAGE)),
        ("behaviour?run=hostile-one", (LINK, BOLD)),
        ("behaviour?run=hostile-one&proof=Costs", (BOLD, IMAGE)),
        ("behaviour?run=hostile-one&proof=Answers", (LINK,)),
        ("behaviour?run=hostile-one&proof=How+it+was+made", (ODD,)),
        ("tokens?run=hostile-one", ("trained weights are not stored",)),
        ("benchmarks?run=hostile-one", (LINK,)),
        ("transfer?run=hostile-failed", (IMAGE,)),
        ("families", (LINK,)),
        ("factors", ()),
        ("?pair=custom&teacher=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E&student=[evil](javascript:alert(3))", ("<img",)),
    ],
)
def test_names_of_runs_models_tasks_and_families_stay_text(chromium, server, link, words):
    with visitor(chromium) as who:
        open_page(who.page, f"{server}/{link}")
        literal(who.page, *words)
        for plot in who.page.locator(".js-plotly-plot .nsewdrag").all()[:2]:
            box = plot.bounding_box()
            for across in (0.2, 0.5, 0.8):
                who.page.mouse.move(box["x"] + across * box["width"], box["y"] + 0.3 * box["height"])
                who.page.wait_for_timeout(120)
                assert who.page.evaluate(BAD) == NOTHING


def test_the_report_holds_no_markup_of_a_name(chromium, server, tmp_path):
    report = tmp_path / "report.html"
    with visitor(chromium) as who:
        save_report(who.page, server, "hostile-one", report)
        who.page.goto(report.as_uri())
        who.page.locator("figure .main-svg path").first.wait_for(state="attached")
        literal(who.page, BOLD, IMAGE)
        who.page.screenshot(path=SHOTS / "report-hostile.png", full_page=True)


def test_prompts_of_a_hostile_file_stay_text(chromium, server):
    rows = [{"text": f"{n} {(BOLD, IMAGE, LINK, ODD)[n % 4]}", BOLD: (IMAGE, LINK)[n % 2]} for n in range(80)]
    upload = {
        "name": "<img src=x onerror=alert(1)>.jsonl",
        "mimeType": "application/json",
        "buffer": "\n".join(map(json.dumps, rows)).encode(),
    }
    with visitor(chromium) as who:
        page = who.page
        open_page(page, f"{server}/latent_map?picture=joined+by+a+map&points=50&n=64&prompts=file&picked=0,1,2,3")
        page.locator("input[type=file]").set_input_files(files=[upload])
        page.get_by_text("80 prompts; labels").wait_for()
        settled(page)
        literal(page, BOLD)
        page.screenshot(path=SHOTS / "hostile-prompts.png", full_page=True)
        for name, title in (("Inspector", "What does a state encode?"), ("Alignment", "Where do the layers agree?")):
            page.get_by_role("link", name=name, exact=True).click()
            page.get_by_role("heading", name=title, level=1).wait_for()
            settled(page)
            literal(page)
    with visitor(chromium) as control:  # the watch does see what it looks for
        control.page.set_content(f"<p>{BOLD}{IMAGE.replace('alert', 'void')}</p>")
        assert control.page.evaluate(BAD)["made"]
        assert control.page.evaluate(BAD)["styled"] == ["evil"]
        control.faults.clear()
