"""What the command line shows: a progress bar with time left, tables for people, JSON for machines.

Standard output is for results alone, so that it can be piped; everything else goes to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:  # they bring NumPy along, and help needs none
    from pkt_core.evaluation.record import TextMeasure
    from pkt_core.runs.results import RunResults
    from pkt_core.studies.comparison.record import Comparison

people = Console(stderr=True)
WIDE = 8  # student layers that fit side by side in a terminal
EXAMPLES = 6  # tokens without a partner; --json has more


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """A bar with time left on standard error; nothing where that is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=people, transient=True, disable=not people.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda stage, done: bar.update(task, description=stage, completed=done)


def table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    shown = Table(title=title, title_justify="left")
    for column in columns:
        shown.add_column(column)
    for row in rows:
        shown.add_row(*(str(cell) for cell in row))
    Console().print(shown)


def deliver(result: Any, path: str | None, show: Callable[[], None]) -> None:
    """JSON to standard output alone, or JSON to a file and the table to the screen."""
    if path == "-":
        sys.stdout.write(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        return
    if path:
        from pkt_core.base.files import write_text

        write_text(Path(path), json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    show()


def show_comparison(comparison: Comparison) -> None:
    """The grid, or each teacher layer's nearest student layer where it is too wide, with its summary."""
    from pkt_core.similarity.measures import MEASURES
    from pkt_core.studies.comparison import vocabularies
    from pkt_core.studies.comparison.text import outliers, repeats

    grid = comparison.grid
    if comparison.student.n_layers <= WIDE:
        columns = ["teacher layer", *(f"student {j}" for j in range(comparison.student.n_layers))]
        rows = [[i, *(f"{v:.3f}" for v in row)] for i, row in enumerate(grid.values)]
    else:  # a terminal is too narrow for the whole grid; --json and the dashboard have it
        columns = ["teacher layer", "most similar student layer", "similarity"]
        nearest = [max(range(len(row)), key=row.__getitem__) for row in grid.closeness.tolist()]
        rows = [[i, j, f"{grid.values[i, j]:.3f}"] for i, j in enumerate(nearest)]
    table(
        f"{MEASURES[grid.measure].label} of {comparison.teacher.name} and {comparison.student.name}, {grid.n} samples",
        columns,
        rows,
    )
    t, s, best = grid.best
    Console().print(
        f"Most similar: teacher layer {t} and student layer {s}, {best:.3f}. In 95 % of {grid.recipe.permutations} permutations the closest cell of the grid stays "
        f"{'below' if grid.larger_is_closer else 'above'} {grid.noise_level:.3f}.\n"
        f"{'Attribution and pairing choose' if comparison.attribution else 'Without attribution, pairing by depth chooses'} teacher layer {comparison.chosen[0]} and student layer {comparison.chosen[1]}.\n"
        f"{vocabularies.sentence(comparison.vocabulary)}"
    )
    for title, (n, some) in vocabularies.left_out(comparison.vocabulary).items():
        examples = " ".join(repr(token) for token in some[:EXAMPLES])
        line = f"{title} {n:,}: {examples}{' ...' if n > EXAMPLES else ''}"
        Console().print(line, markup=False, highlight=False)
    if n := grid.recipe.repeats:
        Console().print(repeats(n))
    if warning := outliers(comparison.outliers, grid.recipe):
        Console().print(f"{warning} Here: --outliers, --skip-first.", style="yellow")


def show_family(name: str, rows: Any) -> None:
    """One line per method or control: recall of each task with its interval, against the first line."""
    from pkt_core.words.style import task_name

    if not rows:
        Console().print(f"Family {name} has no finished run yet.")
        return
    for task in rows[0].tasks:
        lines = []
        for row in rows:
            score = row.tasks[task]
            away = (
                f"{score.difference:+.1%} [{score.difference_low:+.1%}, {score.difference_high:+.1%}]"
                if score.difference is not None
                else "-"
            )
            seeds = " ".join(f"{value:.1%}" for value in score.seeds)
            p = "-" if score.p_value is None else f"{score.p_value:.2g}"
            lines.append([row.label, f"{score.value:.1%} [{score.low:.1%}, {score.high:.1%}]", away, p, seeds])
        table(
            f"{name}: {task_name(task)}",
            ["method or control", "recall [95 %]", f"against {rows[0].label}", "p (Holm)", "seeds"],
            lines,
        )
    lines = [
        [
            row.label,
            len(row.runs),
            " ".join(f"{bits:.3f}" for bits in row.bits_per_byte),
            f"{sum(row.seconds) / len(row.seconds):.0f}",
        ]
        for row in rows
    ]
    table(f"{name}: general text", ["method or control", "seeds", "bits per byte", "seconds of training"], lines)


def show_results(run: Any, results: RunResults) -> None:
    """One line per task: before, after and the paired change; then general text, one line per model."""
    from pkt_core.studies.behaviour.text import repeated
    from pkt_core.words.style import task_name

    if results.behaviour is None or results.layers is None:
        Console().print(f"Run {run.id}: {run.status().message}")
        return
    rows = [
        [
            task_name(name),
            c.n,
            "-" if c.prior is None else f"{c.prior:.1%}",
            f"{c.before:.1%}",
            f"{c.after:.1%}",
            f"{c.difference:+.1%} [{c.low:+.1%}, {c.high:+.1%}]",
            f"{c.p_value:.2g}",
        ]
        for name, c in results.changes.items()
    ]
    layers = results.layers
    title = f"Run {run.id}: recall, teacher layer {layers.teacher} to student layer {layers.student}"
    table(title, ["task", "n", "majority answer", "before", "after", "change [95 %]", "p"], rows)
    for name, repeats in results.repeats.items():
        Console().print(repeated(name, repeats, results.changes[name].n), style="yellow", highlight=False)

    def with_interval(measure: TextMeasure | None) -> str:
        return "-" if measure is None else f"{measure.value:.3f} [{measure.low:.3f}, {measure.high:.3f}]"

    rows = [
        [who, with_interval(model.bits_per_byte), with_interval(model.kl_to_teacher), f"{top.value:.1%}" if (top := model.top1_agreement) else "-"]
        for who, model in sorted(results.behaviour.by_model(), key=lambda one: one[0] != "teacher")
    ]  # fmt: skip
    table("General text", ["model", "bits per byte [95 %]", "KL to teacher, bits", "same top token"], rows)


def show_tasks(user_tasks: Any) -> None:
    """One line per custom task and scoring."""
    from pkt_core.studies.behaviour.record import UserTask
    from pkt_core.studies.behaviour.text import repeated
    from pkt_core.words.style import task_name

    columns = ["scoring", "chance", "before", "after", "teacher", "change [95 %]", "p (Holm)", "detectable"]
    tasks: list[UserTask] = user_tasks
    for one in tasks:
        rows = []
        for scored in one.scored:
            rates = [f"{scored.models[who].rate:.1%}" for who in ("before", "after", "teacher")]
            c, least = scored.change, scored.test.detectable
            change = f"{c.difference:+.1%} [{c.low:+.1%}, {c.high:+.1%}]"
            can = "nothing" if least is None else f"{least:.1%}"
            rows.append([scored.scoring, f"{scored.chance:.1%}", *rates, change, f"{scored.test.p_holm:.2g}", can])
        table(f"Run {one.run}: {task_name(one.task)}, {one.n} items", columns, rows)
        if one.repeats:
            Console().print(repeated(one.task, one.repeats, one.n), style="yellow", highlight=False)
