"""The words: two lines each with a source, found in a text, and named on every page that uses them."""

from __future__ import annotations

import ast

import pytest
from pages import PAGES, ROOT, page

from pkt_core.words.glossary import GLOSSARY, entries, found_in

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]
EVERYWHERE = {"teacher and student", "latent space"}
"""Said on the first page only."""


@pytest.mark.parametrize("word", GLOSSARY)
def test_an_entry_is_two_lines_with_a_source(word):
    entry = GLOSSARY[word]
    assert 30 < len(entry.meaning) < 240
    assert entry.meaning.endswith(".")
    assert entry.source.startswith("ours") or any(character.isdigit() for character in entry.source)


def test_words_are_found_whole_and_in_order():
    assert found_in("KL falls, and CKA rises; the stitched state") == ["KL", "CKA", "stitching"]
    assert found_in("PICKLED JSON kernels") == []
    assert [word for word, _ in entries(["CKA", "KL"])] == ["CKA", "KL"]


@pytest.mark.parametrize("view", PAGES)
@pytest.mark.usefixtures("answers")
def test_a_page_names_the_words_it_uses(view):
    app = page(view)
    assert not app.exception
    kinds = ("markdown", "caption", "info", "warning")  # of the page, not of the bar beside it
    shown = " ".join(str(one.value) for kind in kinds for one in app.main.get(kind)).replace("\\\\", "")
    used = set(found_in(shown)) - (EVERYWHERE if view != "pair" else set())
    print(view, used)
    assert used <= named(view), sorted(used - named(view))


def named(view):
    """What the page's head says that it explains."""
    tree = ast.parse((ROOT / "dashboard" / "views" / view / "page.py").read_text(encoding="utf-8"))
    heads = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "widgets.head"]
    given = [keyword.value for keyword in heads[0].keywords if keyword.arg == "words"]
    return set(ast.literal_eval(given[0])) if given else set()
