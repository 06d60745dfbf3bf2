"""Journeys that end with somebody else: a link reopened, two runs compared, a report opened offline, two visitors at once.

Every visitor here fails the test on an error in the console, in a page's scripts, or in what the server answers.
Needs Chromium, as test_browser.py does.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest
from test_browser import SHOTS, WAIT, chromium, server, server_cache  # noqa: F401 - fixtures

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
PROBE = re.compile(r"/[a-z_]+/_stcore/(health|host-config)$")
"""What Streamlit's own script asks first under a page's address, to find out where the app is mounted; the 404 is its answer."""
SETTLED = """() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'
  && !document.querySelector('[data-testid=stStatusWidget], [data-stale=true], [data-testid=stMain] [data-testid=stProgress], [data-testid=stSkeleton], .st-key-until-over')
  && [...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(one => one.querySelector('.main-svg'))"""
VIEW = """() => {
  const text = el => el.innerText.replace(/\\s+/g, ' ').trim();
  const all = (what, from = document) => [...from.querySelectorAll(what)];
  const kinds = ['Selectbox', 'MultiSelect', 'NumberInput', 'TextInput', 'TextArea', 'Checkbox', 'ButtonGroup', 'Slider'];
  const hash = words => { let h = 0; for (const c of words) h = (31 * h + c.charCodeAt(0)) | 0; return h };
  return {
    title: document.title,
    // The memory that is free is another at each moment.
    heads: all('h1, h2, h3, h4').map(head => text(head).replace(/has [\\d.]+ \\w+ free/, 'has so much free')),
    controls: all(kinds.map(k => `[data-testid=st${k}]`).join(',')).map(el => [
      text(el), all('input, textarea', el).map(i => i.type === 'checkbox' ? i.checked : i.value),
      all('[aria-checked=true], [aria-pressed=true]', el).map(text)]),
    notices: all('[data-testid=stAlert]').map(text),
    figures: all('.js-plotly-plot').map(div => [div.data.length, hash(JSON.stringify(div.data))]),
  }
}"""


@dataclass
class Visitor:
    """Somebody with a browser of their own."""

    page: object
    faults: list[str] = field(default_factory=list)


@contextlib.contextmanager
def visitor(browser, **settings) -> Iterator[Visitor]:
    """A fresh browser, and nothing may go wrong in it."""
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


def open_page(page, address: str) -> None:
    page.goto(address)
    settled(page)


def settled(page) -> None:
    """Everything that the page asked for is there."""
    page.get_by_role("heading", level=1).wait_for()
    before = None
    for _ in range(20):  # what one step of drawing brings may bring another
        page.wait_for_timeout(250)
        page.wait_for_function(SETTLED, timeout=4 * WAIT)
        if (now := page.evaluate(VIEW)) == before:
            break
        before = now
    assert page.get_by_test_id("stException").count() == 0


def choose(page, label: str, option: str, *, wait: bool = True) -> None:
    """Pick from a drop-down as a person would."""
    box = page.get_by_role("combobox", name=re.compile(f"^{label}"))
    box.scroll_into_view_if_needed()
    page.wait_for_timeout(300)  # a list closes when the page still moves
    box.click()
    page.get_by_role("option", name=option, exact=True).click()
    if wait:
        settled(page)


LINKS = [
    ("", "tl=4&sl=1&pooling=last", ["Can these two talk?"]),
    (
        "alignment",
        "measure=mutual_knn&tl=4&sl=1&about=Outliers",
        ["Teacher layer 4 and student layer 1", "own the picture?"],
    ),
    ("latent_map", "picture=joined+by+a+map&map=ridge&colour=neighbour+overlap&points=100&tl=4&sl=1&links=true", []),
    ("maps", "tl=4&sl=1&stitch=ridge", []),
    ("inspector", "text=the+king+of+the+city&at=14&k=3&tl=5&sl=2", ["At “·the”, teacher layer 5"]),
    ("transfer", "method=logit-kd&steps=60&temp=3&tl=4&sl=1", ["Start the transfer"]),
    ("families", "ftask=known%20facts", ["known facts"]),
    ("factors", "gained=known%20facts", ["known facts"]),
    ("behaviour", "run=demo-sft&proof=Answers&differ=true", ["demo-sft: sft", "What do they write?"]),
    ("tokens", "run=demo-semalign-v1&read=general+text&texts=20&sentence=3&token=4&differ=true", []),
    ("benchmarks", "run=demo-semalign-v1&tasks=demo%2Fknown-unseen&items=40", []),
    ("runs", "run=demo-sft&with=demo-ours", ["The command that made it", "sft)"]),
]


def test_a_link_of_every_page_shows_a_stranger_the_same_view(chromium, server):  # noqa: F811
    with visitor(chromium) as first, visitor(chromium) as second:
        for path, asked, words in LINKS:
            open_page(first.page, f"{server}/{path}?{asked}")
            copied, seen = first.page.url, first.page.evaluate(VIEW)
            body = first.page.inner_text("body")
            assert not seen["notices"], (path, seen["notices"])  # the link is taken at its word
            assert all(one in body for one in words), path
            assert parse_qs(urlsplit(copied).query) == parse_qs(asked), path
            open_page(second.page, copied)  # each address opened is a session of its own
            assert (second.page.url, second.page.evaluate(VIEW)) == (copied, seen), path
            assert bool(seen["figures"]) == (path != "benchmarks"), path  # nothing was asked of those models yet


@pytest.mark.parametrize(
    "link",
    [
        "runs?run=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E&with=../../etc",
        "maps?stitch=psychic&tl=99&n=-4&picked=all",
        "tokens?run=nobody&texts=many&sentence=1e9&shade=%24%24x%24%24",
    ],
)
def test_a_link_that_means_nothing_shows_the_defaults_and_says_so(chromium, server, link):  # noqa: F811
    with visitor(chromium) as who:
        open_page(who.page, f"{server}/{link}")
        seen = who.page.evaluate(VIEW)
        assert any("instead" in one or "cannot be" in one for one in seen["notices"])
        assert seen["figures"] or "runs?" in link
        assert "Traceback" not in who.page.inner_text("body")


def test_two_runs_are_compared_and_their_link_says_which(chromium, server):  # noqa: F811
    with visitor(chromium) as first, visitor(chromium) as second:
        page = first.page
        open_page(page, server)
        page.get_by_role("link", name="Runs").click()
        page.get_by_role("heading", name="What have we done?", level=1).wait_for()
        settled(page)
        choose(page, "Open", "demo-semalign-v1")
        choose(page, "Other run", "demo-semalign-v1-permuted")
        page.get_by_text("demo-semalign-v1-permuted (semalign-v1, permuted vocabulary)").first.wait_for()
        seen = page.evaluate(VIEW)
        assert len(seen["figures"]) == 1
        page.screenshot(path=SHOTS / "journey-compared.png", full_page=True)
        asked = parse_qs(urlsplit(page.url).query)
        assert (asked["run"], asked["with"]) == (["demo-semalign-v1"], ["demo-semalign-v1-permuted"])
        open_page(second.page, page.url)
        assert (second.page.url, second.page.evaluate(VIEW)) == (page.url, seen)


def save_report(page, server: str, run: str, path) -> None:  # noqa: F811
    """The HTML report of a run, as a person downloads it."""
    open_page(page, f"{server}/runs?run={run}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    download.value.save_as(path)


def test_the_report_opens_without_a_network(chromium, server, tmp_path):  # noqa: F811
    report = tmp_path / "report.html"
    with visitor(chromium) as who:
        save_report(who.page, server, "demo-semalign-v1", report)
    assert 100_000 < report.stat().st_size < 10 * 2**20
    with visitor(chromium) as reader:
        reader.page.context.set_offline(True)
        outside: list[str] = []
        reader.page.on("request", lambda got: got.url.startswith(("file:", "data:")) or outside.append(got.url))
        reader.page.goto(report.as_uri())
        reader.page.wait_for_function(
            "[...document.querySelectorAll('figure')].every(one => one.querySelector('.main-svg path'))"
        )
        figures = reader.page.locator("figure")
        assert figures.count() >= 2
        for n in range(figures.count()):
            assert figures.nth(n).locator(".main-svg").first.bounding_box()["width"] > 300
        assert "pkt transfer" in reader.page.inner_text("body")
        reader.page.screenshot(path=SHOTS / "report-offline.png", full_page=True)
        reader.page.goto("data:text/html,<img src=http://127.0.0.1:1/x>")  # the watch does see what it forbids
        reader.page.wait_for_timeout(200)
        assert outside == ["http://127.0.0.1:1/x"]
        reader.faults.clear()


ELSEWHERE = {
    "Families": "Which method wins",
    "Pair": "Can these two talk?",
    "Transfer": "Make it flow",
    "Benchmarks": "Does it score differently",
    "Runs": "What have we done?",
}
AT_REST = "document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"


def layers_of(page) -> list[str]:
    """What the bar says is chosen."""
    return [page.get_by_role("combobox", name=label).input_value() for label in ("Teacher layer", "Student layer")]


def test_two_visitors_at_once_keep_their_own_selection(chromium, server):  # noqa: F811
    with (
        visitor(chromium, color_scheme="light") as one,
        visitor(chromium, color_scheme="dark", viewport={"width": 1920, "height": 1080}) as other,
    ):
        open_page(one.page, f"{server}/transfer?tl=5&sl=2&steps=300&method=sft")
        open_page(other.page, f"{server}/factors?tl=1&sl=0&picked=3,+7")
        one.page.get_by_role("button", name="Start the transfer").click()
        one.page.wait_for_url("**run=**")
        started = parse_qs(urlsplit(one.page.url).query)["run"]
        for name, title in ELSEWHERE.items():
            other.page.get_by_role("link", name=name, exact=True).click()
            other.page.get_by_role("heading", name=title, level=1).wait_for()
            other.page.wait_for_function(AT_REST)
            assert layers_of(other.page) == ["1", "0"], name
            assert layers_of(one.page) == ["5", "2"]
            held = parse_qs(urlsplit(other.page.url).query)
            assert (held["tl"], held["sl"], held["picked"]) == (["1"], ["0"], ["3, 7"])
            assert "run" not in held  # what another visitor started is not what this one looks at
            assert parse_qs(urlsplit(one.page.url).query)["run"] == started
        assert started[0] in other.page.inner_text("body") or other.page.locator("canvas").count()  # but it is listed
        choose(other.page, "Teacher layer", "3", wait=False)
        one.page.get_by_role("link", name="Alignment", exact=True).click()
        one.page.get_by_text("Teacher layer 5 and student layer 2").first.wait_for()
        other.page.get_by_role("link", name="Alignment", exact=True).click()
        other.page.get_by_text("Teacher layer 3 and student layer 0").first.wait_for()
        assert "picked" not in parse_qs(urlsplit(one.page.url).query)
        themes = [
            who.page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
            for who in (one, other)
        ]
        assert themes == ["rgb(255, 255, 255)", "rgb(3, 5, 9)"]
        other.page.screenshot(path=SHOTS / "two-visitors.png")
