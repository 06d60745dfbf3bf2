"""A run as one HTML page that opens offline, with figures, controls, tables, recipe, glossary and the command to reproduce it.

Text from prompts, names and models is escaped. Not covered: comparing several runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from pkt_core.base.files import write_text
from pkt_core.errors import StoreError
from pkt_core.evaluation.record import Behaviour
from pkt_core.evaluation.tasks import over_tasks
from pkt_core.report import citing
from pkt_core.runs.folder import Run
from pkt_core.runs.results import RunResults
from pkt_core.studies.behaviour import figures
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.studies.behaviour.controls import controls_of
from pkt_core.studies.generations import text as generations_text
from pkt_core.words import glossary, style

SHORT = 8  # letters


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    title: str
    """Heading."""
    caption: str
    """How to read it and what would refute it."""
    figure: str | None = None
    """HTML of a Plotly figure."""
    table: str | None = None
    """HTML of a table, escaped."""
    note: str = ""
    """How to read the table, where the caption is about the figure."""
    answer: str = ""
    """Its result, in a sentence."""


def write_report(run: Run, path: Path) -> Path:
    """Write the page and return its path. Raises StoreError for a run without measured results."""
    results = run.results()
    if results is None or results.behaviour is None or results.layers is None or results.examples is None:
        raise StoreError(f"Run {run.id} has no measured results yet. Let it finish, or run `pkt evaluate {run.id}`.")
    write_text(path, page(run, results, results.behaviour))
    return path


def page(run: Run, results: RunResults, behaviour: Behaviour) -> str:
    """The HTML of a finished run; `behaviour` is that of its results."""
    plan, steps, controls = run.plan(), run.steps(), controls_of(run)
    environment = Environment(loader=PackageLoader("pkt_core.report"), autoescape=True)
    environment.filters["marked"] = marked
    tests = over_tasks(results.changes, results.right)
    sections = [
        Section(
            "What changed?",
            behaviour_text.BEHAVIOUR,
            drawn(figures.behaviour_figure(behaviour, results.changes)),
            html(behaviour_text.changes_shown(results.changes, tests)),
            behaviour_text.CHANGES,
        ),
        Section(
            "Compared with its controls",
            behaviour_text.AGAINST,
            drawn(figures.controls_figure(results.changes, controls))
            if any(one.changes for one in controls.controls)
            else None,
            html(behaviour_text.controls_table(controls)) if controls.controls else None,
            answer=behaviour_text.controls(controls),
        ),
        Section("At what cost?", behaviour_text.GENERAL, table=html(behaviour_text.general_shown(behaviour))),
    ]
    if results.alignment is not None:
        table = html(behaviour_text.alignment_table(results.alignment))
        sections.append(Section("Alignment of the trained layer", behaviour_text.ALIGNMENT_CHANGE, table=table))
    if steps:
        sections.append(Section("Training", behaviour_text.training(steps), drawn(figures.training_figure(steps))))
    sections += [
        Section(
            "Side by side",
            generations_text.GENERATIONS,
            table=html(behaviour_text.generations_table(results.generations).rename(columns=str.capitalize)),
        ),
        Section("Recipe", behaviour_text.PLAN, table=html(settings(plan))),
        Section("Made with", behaviour_text.VERSIONS, table=html(settings(results.versions))),
    ]
    words = glossary.found_in(" ".join(f"{one.title} {one.answer} {one.caption} {one.note}" for one in sections))
    return environment.get_template("run.html").render(
        title=f"Transfer {run.id}",
        summary=behaviour_text.behaviour(results),
        command=results.command or "",
        sections=sections,
        words=glossary.entries(words),
        paragraph=citing.paragraph(plan, results),
        bibtex=citing.bibtex(plan),
        plotly_js=get_plotlyjs(),
    )


def drawn(figure: Any) -> str:
    return style.on_paper(figure).to_html(full_html=False, include_plotlyjs=False)


def html(table: pd.DataFrame) -> str:
    """A table as HTML; short cells such as `< 0.001` and intervals in brackets do not wrap."""
    return table.map(unbroken).to_html(index=False, escape=True, border=0)


def unbroken(cell: str) -> str:
    if len(cell) <= SHORT:
        return cell.replace(" ", style.NO_BREAK)
    return re.sub(r"\[[^\[\]]{1,20}\]", lambda match: match[0].replace(" ", style.NO_BREAK), cell)


def marked(caption: str) -> Markup:
    """A caption as HTML, with text between backticks as code and everything else escaped."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(caption))))


def settings(values: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {"Setting": [name.replace("_", " ") for name in values], "Value": [said(value) for value in values.values()]}
    )


def said(value: Any) -> str:
    """A setting as text; for a model its name and the settings that differ from the default."""
    if isinstance(value, Mapping):
        given = [f"{key} {of}" for key, of in value.items() if key != "name" and of not in (None, "auto")]
        return ", ".join([str(value.get("name", "–")), *given])
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(said, value)) or "–"
    return "–" if value is None else str(value)
