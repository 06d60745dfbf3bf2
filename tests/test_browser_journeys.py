"""Journeys that end with somebody else: a link reopened, two runs compared, a report opened offline, two visitors at once.

Every visitor here fails the test on an error in the console, in a page's scripts, or in what the server answers.
Needs Chromium, as test_browser.py does.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from browsing import SHOTS, choose, eventually, open_page, reads, save_report, settled, visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
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


LINKS = [
    ("", "tl=4&sl=1&pooling=last", ["Two models side by side"]),
    (
        "alignment",
        "measure=mutual_knn&tl=4&sl=1&about=Outliers",
        ["Teacher layer 4 and student layer 1", "or the first token, dominate?"],
    ),
    ("latent_map", "picture=joined+by+a+map&map=ridge&colour=neighbour+overlap&points=100&tl=4&sl=1&links=true", []),
    ("maps", "tl=4&sl=1&stitch=ridge", []),
    ("inspector", "text=the+king+of+the+city&at=14&k=3&tl=5&sl=2", ["Mapped into the student, the teacher's state"]),
    ("transfer", "method=logit-kd&steps=60&temp=3&tl=4&sl=1", ["Start the transfer"]),
    ("families", "ftask=known%20facts", ["known facts"]),
    ("factors", "gained=known%20facts", ["known facts"]),
    ("behaviour", "run=demo-sft&proof=Answers&differ=true", ["demo-sft: sft", "Generated text"]),
    ("tokens", "run=demo-semalign-v1&read=general+text&texts=20&sentence=3&token=4&differ=true", []),
    ("benchmarks", "run=demo-semalign-v1&tasks=demo%2Fknown-unseen&items=40", []),
    ("runs", "run=demo-sft&with=demo-ours", ["Command", "sft)"]),
]


def view(page) -> tuple[str, dict]:
    """The address, and what there is to see: titles, settings, notices and the data of figures."""
    return page.url, page.evaluate(VIEW)


def query(page) -> dict[str, list[str]]:
    """What the link says."""
    return parse_qs(urlsplit(page.url).query)


def test_a_link_of_every_page_shows_a_stranger_the_same_view(chromium, server):
    with visitor(chromium) as first, visitor(chromium) as second:
        for path, asked, words in LINKS:
            open_page(first.page, f"{server}/{path}?{asked}")
            reads(first.page, *words)
            eventually(first.page, lambda: query(first.page), parse_qs(asked))
            open_page(second.page, first.page.url)  # each address opened is a session of its own
            url, seen = view(first.page)
            assert not seen["notices"], (path, seen["notices"])  # the link is taken at its word
            eventually(second.page, lambda: view(second.page), (url, seen))
            assert bool(seen["figures"]) == (path != "benchmarks"), path  # nothing was asked of those models yet


@pytest.mark.parametrize(
    "link",
    [
        "runs?run=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E&with=../../etc",
        "maps?stitch=psychic&tl=99&n=-4&picked=all",
        "tokens?run=nobody&texts=many&sentence=1e9&shade=%24%24x%24%24",
    ],
)
def test_a_link_that_means_nothing_shows_the_defaults_and_says_so(chromium, server, link):
    with visitor(chromium) as who:
        open_page(who.page, f"{server}/{link}")
        notice = "document.querySelector('[data-testid=stAlert]') && /not available here|cannot be/.test(document.body.innerText)"
        who.page.wait_for_function(notice)
        _, seen = view(who.page)
        assert any("not available here" in one or "cannot be" in one for one in seen["notices"])
        assert seen["figures"] or "runs?" in link
        assert "Traceback" not in who.page.inner_text("body")


def test_two_runs_are_compared_and_their_link_says_which(chromium, server):
    with visitor(chromium) as first, visitor(chromium) as second:
        page = first.page
        open_page(page, server)
        page.get_by_role("link", name="Runs", exact=True).click()
        page.get_by_role("heading", name="Runs", level=1).wait_for()
        settled(page)
        choose(page, "Open", "demo-semalign-v1")
        settled(page)
        choose(page, "Other run", "demo-semalign-v1-permuted")
        page.get_by_text("demo-semalign-v1-permuted (semalign-v1, permuted vocabulary)").first.wait_for()
        settled(page)
        asked = {"run": ["demo-semalign-v1"], "with": ["demo-semalign-v1-permuted"]}
        eventually(page, lambda: {key: query(page).get(key) for key in asked}, asked)
        page.screenshot(path=SHOTS / "journey-compared.png", full_page=True)
        open_page(second.page, page.url)
        url, seen = view(page)
        assert len(seen["figures"]) == 1
        eventually(second.page, lambda: view(second.page), (url, seen))


def test_the_report_opens_without_a_network(chromium, server, tmp_path):
    report = tmp_path / "report.html"
    with visitor(chromium) as who:
        save_report(who.page, server, "demo-semalign-v1", report)
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
        eventually(reader.page, lambda: outside, ["http://127.0.0.1:1/x"])
        reader.faults.clear()


HELD = [["1"], ["0"], ["3, 7"], None]
ELSEWHERE = {
    "Families": "Compare methods",
    "Pair": "Two models side by side",
    "Transfer": "Run a transfer",
    "Benchmarks": "Standard benchmarks",
    "Runs": "Runs",
}


def layers_of(page) -> list[str]:
    """What the bar says is chosen."""
    return [page.get_by_role("combobox", name=label).input_value() for label in ("Teacher layer", "Student layer")]


@pytest.mark.usefixtures("run_folders")
def test_two_visitors_at_once_keep_their_own_selection(chromium, server):
    with (
        visitor(chromium, color_scheme="light") as one,
        visitor(chromium, color_scheme="dark", viewport={"width": 1920, "height": 1080}) as other,
    ):
        open_page(one.page, f"{server}/transfer?tl=5&sl=2&steps=300&method=sft")
        open_page(other.page, f"{server}/factors?tl=1&sl=0&picked=3,+7")
        one.page.get_by_role("button", name="Start the transfer").click()
        one.page.wait_for_url("**run=**")
        started = query(one.page)["run"]
        for name, title in ELSEWHERE.items():
            other.page.get_by_role("link", name=name, exact=True).click()
            other.page.get_by_role("heading", name=title, level=1).wait_for()
            eventually(other.page, lambda: layers_of(other.page), ["1", "0"])
            eventually(one.page, lambda: layers_of(one.page), ["5", "2"])
            # What another visitor started is not what this one looks at.
            eventually(other.page, lambda: [query(other.page).get(key) for key in ("tl", "sl", "picked", "run")], HELD)
            assert query(one.page)["run"] == started
        other.page.get_by_text(started[0]).or_(other.page.locator("canvas")).first.wait_for()  # but it is listed
        choose(other.page, "Teacher layer", "3")
        one.page.get_by_role("link", name="Alignment", exact=True).click()
        one.page.get_by_text("Teacher layer 5 and student layer 2").first.wait_for()
        other.page.get_by_role("link", name="Alignment", exact=True).click()
        other.page.get_by_text("Teacher layer 3 and student layer 0").first.wait_for()
        assert "picked" not in query(one.page)
        ground = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
        eventually(one.page, lambda: one.page.evaluate(ground), "rgb(255, 255, 255)")
        eventually(other.page, lambda: other.page.evaluate(ground), "rgb(3, 5, 9)")
        other.page.screenshot(path=SHOTS / "two-visitors.png")
