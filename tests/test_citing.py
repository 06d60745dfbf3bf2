"""A run as a methods paragraph and BibTeX: the recorded runs' numbers, every method with its papers, nothing LaTeX would read."""

from __future__ import annotations

import re

import pytest

from pkt_core.report import citing
from pkt_core.runs.folder import open_run
from pkt_core.transfer.method import methods


def recorded(name="demo-semalign-v1"):
    run = open_run(name)
    return run.plan(), run.results()


def test_it_says_the_numbers_of_the_run():
    plan, results = recorded()
    text = citing.paragraph(plan, results)
    change = results.changes["demo/unknown-seen"]
    assert f"{100 * change.difference:+.1f} points" in text
    assert f"$n={change.n}$" in text
    assert "5 to 2" in text
    assert "\\cite{semalign2025}" in text
    assert results.examples.digest[:12] in text


@pytest.mark.parametrize("method", methods())
def test_every_method_cites_what_its_bibtex_has_and_a_reconstruction_says_so(method):
    plan, results = recorded()
    plan = {**plan, "method": method}
    text, entries = citing.paragraph(plan, results), citing.bibtex(plan)
    assert set(re.findall(r"\\cite\{(\w+)\}", text)) <= set(re.findall(r"@\w+\{(\w+),", entries))
    assert ("reconstruction" in text) == methods()[method].reconstructed
    for paper in citing.papers(method):
        assert f"{{{paper.key}," in paper.bibtex
        assert all(field in paper.bibtex for field in ("title", "author", "year"))
    assert entries.count("{") == entries.count("}")


def test_names_cannot_be_read_as_commands():
    plan, results = recorded()
    plan = {**plan, "teacher": {"name": r"x/a_b%\input{y}$"}}
    text = citing.paragraph(plan, results)
    assert r"a\_b\%\textbackslash{}input\{y\}\$" in text
