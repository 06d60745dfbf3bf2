"""A run as one HTML page: it opens offline, holds its figures, controls, tables, recipe, words and the command that makes it again.

Everything from prompts, names and models is escaped. Not covered: comparing several runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from pkt_core.base.files import write_text
from pkt_core.errors import StoreError
from pkt_core.evaluation.tasks import over_tasks
from pkt_core.report import citing
from pkt_core.runs.folder import Run
from pkt_core.studies.behaviour import controls_text
from pkt_core.studies.behaviour import figures as behaviour_figures
from pkt_core.studies.behaviour import text as behaviour_text
from pkt_core.studies.behaviour.controls import controls_of, to_json
from pkt_core.studies.behaviour.figures import behaviour_figure, training_figure
from pkt_core.studies.generations import text as generations_text
from pkt_core.words import glossary, style

SHORT = 8  # letters


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    title: str
    """What it answers."""
    caption: str
    """How to read it and what would refute it."""
    figure: str | None = None
    """HTML of a Plotly figure."""
    table: str | None = None
    """HTML of a table, escaped."""
    note: str = ""
    """How to read the table, where the caption is about the figure."""
    answer: str = ""
    """What it says, in a sentence."""


def write_report(run: Run, path: Path) -> Path:
    """Write the page and say where. Raises StoreError for a run that has no measured results yet."""
    results = run.results()
    if not results or "behaviour" not in results:
        raise StoreError(f"Run {run.id} has no measured results yet. Let it finish, or run `pkt evaluate {run.id}`.")
    write_text(path, page(run, results))
    return path


def page(run: Run, results: Mapping[str, Any]) -> str:
    """The HTML of a finished run."""
    plan, steps = run.plan(), [event for event in run.events() if event.get("kind") == "step"]
    controls = to_json(controls_of(run))
    environment = Environment(loader=PackageLoader("pkt_core.report"), autoescape=True)
    environment.filters["marked"] = marked
    tests = {task: asdict(test) for task, test in over_tasks(results["changes"], results.get("right") or {}).items()}
    sections = [
        Section(
            "What changed",
            behaviour_text.BEHAVIOUR,
            drawn(behaviour_figure(results["behaviour"], results["changes"])),
            html(behaviour_text.changes_shown(results["changes"], tests)),
            behaviour_text.CHANGES,
        ),
        Section(
            "Against its controls",
            behaviour_text.AGAINST,
            drawn(behaviour_figures.controls_figure(results["changes"], controls))
            if any(one["changes"] for one in controls)
            else None,
            html(controls_text.table(controls)) if controls else None,
            answer=controls_text.sentence(controls),
        ),
        Section(
            "At what price", behaviour_text.GENERAL, table=html(behaviour_text.general_shown(results["behaviour"]))
        ),
        Section(
            "Alignment of the trained layer", behaviour_text.ALIGNMENT_CHANGE, table=html(alignment_table(results))
        ),
    ]
    if steps:
        sections.append(Section("Training", behaviour_text.training(steps), drawn(training_figure(steps))))
    sections += [
        Section("Side by side", generations_text.GENERATIONS, table=html(generations(results["generations"]))),
        Section("Recipe", behaviour_text.PLAN, table=html(settings(plan))),
        Section("Made with", behaviour_text.VERSIONS, table=html(settings(results["versions"]))),
    ]
    words = glossary.found_in(" ".join(f"{one.title} {one.answer} {one.caption} {one.note}" for one in sections))
    return environment.get_template("run.html").render(
        title=f"Transfer {run.id}",
        summary=behaviour_text.behaviour(dict(results)),
        command=results.get("command", ""),
        sections=sections,
        words=glossary.entries(words),
        paragraph=citing.paragraph(plan, results),
        bibtex=citing.bibtex(plan),
        plotly_js=get_plotlyjs(),
    )


def drawn(figure: Any) -> str:
    return style.on_paper(figure).to_html(full_html=False, include_plotlyjs=False)


def html(table: pd.DataFrame) -> str:
    """A table as it is; a short cell, such as `< 0.001`, and an interval in brackets stay on one line."""
    return table.map(unbroken).to_html(index=False, escape=True, border=0)


def unbroken(cell: str) -> str:
    if len(cell) <= SHORT:
        return cell.replace(" ", style.NO_BREAK)
    return re.sub(r"\[[^\[\]]{1,20}\]", lambda found: found[0].replace(" ", style.NO_BREAK), cell)


def marked(caption: str) -> Markup:
    """A caption with what stands between backticks as code; all else is shown as it is."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(caption))))


def settings(values: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {"Setting": [name.replace("_", " ") for name in values], "Value": [said(value) for value in values.values()]}
    )


def said(value: Any) -> str:
    """A setting as people read it; of a model its name, and of the rest only what was asked for."""
    if isinstance(value, Mapping):
        asked = [f"{key} {of}" for key, of in value.items() if key != "name" and of not in (None, "auto")]
        return ", ".join([str(value.get("name", "–")), *asked])
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(said, value)) or "–"
    return "–" if value is None else str(value)


def generations(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What the three write after the same prompts."""
    order = ("prompt", "expected", "before", "after", "teacher")
    return pd.DataFrame([{name.capitalize(): row.get(name, "–") for name in order} for row in rows])


def alignment_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """Cosine and CKA of the trained layer before and after, with the permuted vocabulary beside them."""
    found = results["alignment"]
    return pd.DataFrame(
        [
            {
                "Student": when,
                "Cosine to the mapped teacher": style.number(found[when].get("cosine"), 3),
                "Cosine, vocabulary permuted": style.number(found.get("control", {}).get(when), 3),
                "Debiased CKA": style.number(found[when]["cka"], 3),
                "Prompts": f"{found['n']:,}",
            }
            for when in ("before", "after")
        ]
    )
