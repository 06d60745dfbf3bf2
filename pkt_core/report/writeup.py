"""A run as one HTML page: it opens offline, holds its figures, tables, recipe and the command that makes it again.

Everything from prompts, names and models is escaped. Not covered: comparing several runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from plotly.offline import get_plotlyjs

from pkt_core.errors import StoreError
from pkt_core.files import write_text
from pkt_core.report import captions, figures, sentences, tables
from pkt_core.runs import Run


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


def write_report(run: Run, path: Path) -> Path:
    """Write the page and say where. Raises StoreError for a run that has no measured results yet."""
    results = run.results()
    if not results or "behaviour" not in results:
        raise StoreError(f"Run {run.id} has no measured results yet. Let it finish, or run `pkt evaluate {run.id}`.")
    write_text(path, page(run.id, run.plan(), results, [e for e in run.events() if e.get("kind") == "step"]))
    return path


def page(run_id: str, plan: Mapping[str, Any], results: Mapping[str, Any], steps: list[dict[str, Any]]) -> str:
    """The HTML of a finished run."""
    template = Environment(loader=PackageLoader("pkt_core.report"), autoescape=True).get_template("run.html")
    sections = [
        Section(
            "What changed",
            captions.BEHAVIOUR,
            drawn(figures.behaviour_figure(results["behaviour"], results["changes"])),
            html(tables.changes_table(results["changes"])),
        ),
        Section("At what price", captions.GENERAL, table=html(tables.divergence_table(results["behaviour"]))),
        Section("Alignment of the trained layer", captions.ALIGNMENT_CHANGE, table=html(alignment_table(results))),
    ]
    if steps:
        sections.append(Section("Training", captions.TRAINING, drawn(figures.training_figure(steps))))
    sections += [
        Section("Side by side", captions.GENERATIONS, table=html(pd.DataFrame(results["generations"]))),
        Section("Plan", captions.PLAN, table=html(settings(plan))),
        Section("Made with", captions.VERSIONS, table=html(settings(results["versions"]))),
    ]
    return template.render(
        title=f"Transfer {run_id}",
        summary=sentences.behaviour(dict(results)),
        command=results.get("command", ""),
        sections=sections,
        plotly_js=get_plotlyjs(),
    )


def drawn(figure: Any) -> str:
    return figure.to_html(full_html=False, include_plotlyjs=False)


def html(table: pd.DataFrame) -> str:
    return table.to_html(index=False, escape=True, border=0, float_format=lambda v: f"{v:.4g}")


def settings(values: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({"setting": list(values), "value": [str(v) for v in values.values()]})


def alignment_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """Cosine and CKA of the trained layer before and after, with the permuted vocabulary beside them."""
    found = results["alignment"]
    rows = []
    for when in ("before", "after"):
        control = found.get("control", {}).get(when)
        row = {
            "student": when,
            "cosine to mapped teacher": found[when].get("cosine"),
            "cosine, vocabulary permuted": control,
        }
        rows.append({**row, "debiased CKA": found[when]["cka"], "prompts": found["n"]})
    return pd.DataFrame(rows)
