"""Pages against axe-core's accessibility rules in a real browser, all in light, four in dark: no serious finding.

Needs Chromium, as test_browser.py does.
"""

from __future__ import annotations

import pytest
from browsing import NO_FADES, ROOT, WAIT, settled

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
PAGES = sorted(path.parent.name for path in (ROOT / "dashboard" / "views").glob("*/page.py"))
NOT_OURS = {
    "list": "Streamlit's navigation wraps its items",
    "listitem": "the same",
    "aria-dialog-name": "Streamlit's toast has no name",
    "scrollable-region-focusable": "Streamlit's tables scroll on a canvas",
}
"""Rules that Streamlit's own parts break, whatever a page does."""
LEFT_OUT = "button[aria-checked='true']"
"""What is chosen among a few options: Streamlit writes it in the colour that it also puts under white text: on a dark page one of the two is too weak."""


def findings(tab) -> list[str]:
    """Serious findings, each with its rule and the first element."""
    from axe_playwright_python.sync_playwright import Axe

    told = (
        Axe()
        .run(tab, context={"exclude": [[LEFT_OUT]]}, options={"resultTypes": ["violations"]})
        .response["violations"]
    )
    return [
        f"{one['id']}: {len(one['nodes'])}, first {one['nodes'][0]['html'][:120]} ({why(one['nodes'][0])})"
        for one in told
        if one["impact"] in ("serious", "critical") and one["id"] not in NOT_OURS
    ]


def why(node) -> str:
    """What axe says of an element."""
    return " ".join(check["message"] for check in node["any"])[:160]


WITHOUT_UMAP = {"latent_map": "?picture=joined+by+a+map"}
"""Nothing but the figure's points is different where UMAP is waited for."""


def open_in_full_colour(tab, address: str, name: str) -> None:
    tab.goto(f"{address}/{'' if name == 'pair' else name}{WITHOUT_UMAP.get(name, '')}")
    settled(tab)
    tab.wait_for_function(NO_FADES)


@pytest.mark.parametrize(
    ("scheme", "names"),
    [("light", PAGES), ("dark", ("pair", "transfer", "behaviour", "tokens"))],
    ids=["light", "dark"],
)
def test_no_page_has_a_serious_finding(chromium, server, scheme, names):
    context = chromium.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 1000})
    tab, found = context.new_page(), {}
    tab.set_default_timeout(WAIT)
    for name in names:
        open_in_full_colour(tab, server, name)
        if told := findings(tab):
            found[name] = told
    context.close()
    assert not found


def test_the_rules_do_find_what_is_wrong(chromium):
    tab = chromium.new_page()
    tab.set_content(
        "<html lang=en><title>t</title><main><h1>h</h1><img src=x><p style='color:#bbb;background:#fff'>pale</p></main></html>"
    )
    assert {told.split(":")[0] for told in findings(tab)} == {"image-alt", "color-contrast"}
    tab.close()
