"""The commands that train: `pkt transfer`, `pkt family`, `pkt families`, `pkt queue`, `pkt work`.

Every setting of a plan is an option of its own, with the help that the plan gives it.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Annotated, Any, Literal, Optional

import typer
from rich.console import Console

from pkt_core import api
from pkt_core.cli.options import Json, OfPair, find_pair, named_run, option, options_of, with_options
from pkt_core.cli.terminal import deliver, people, progress_bar, show_family, show_results, table
from pkt_core.errors import PlanError, StoreError
from pkt_core.runner import carry_out, carry_out_new, first_process
from pkt_core.transfer.controls import CONTROLS
from pkt_core.transfer.method import methods
from pkt_core.transfer.plan import TransferPlan, settings

GIVEN_OTHERWISE = ("teacher", "student", "data", "tasks")
Tracker = Annotated[
    str | None,
    typer.Option(help="Also log to an experiment tracker of Accelerate's: tensorboard, wandb, mlflow, trackio."),
]
Seconds = Annotated[float, typer.Option(min=0, help="Between two checkpoints.")]
Seeds = Annotated[int, typer.Option(min=1, max=100, help="How many seeds of each.")]
FamilyName = Annotated[str | None, typer.Option("--name", help="Name of the family; default: the time.")]
Later = Annotated[bool, typer.Option("--later", help="Only queue them; `pkt work` carries them out.")]


class OfData:
    """The options of a plan that no method changes the meaning of."""

    data: Annotated[str | None, typer.Option(help="Example set to train on: bundled name or .jsonl/.csv file.")] = None
    task: Annotated[
        list[str] | None, typer.Option("--task", help="Example set to measure behaviour on; may be repeated.")
    ] = None


def with_plan(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of two models, data and every setting that some method has; its parameter `plan` makes the
    plan of those that were given."""
    return with_options(command, "plan", [*options_of(OfPair), *options_of(OfData), *settings_as_options()], planner)


def settings_as_options() -> list[inspect.Parameter]:
    """An option for every setting that some method has, with the help that the setting has itself."""
    options = []
    for name, field in settings().items():
        if name in GIVEN_OTHERWISE:
            continue
        flag = f"--{name.replace('_', '-')}"
        if field.annotation is bool:
            flag = f"{flag}/--no-{name.replace('_', '-')}"
        kind: Any = Literal[tuple(methods())] if name == "method" else field.annotation
        options.append(option(name, Annotated[Optional[kind], typer.Option(flag, help=field.description)]))  # noqa: UP045
    return options


def planner(given: dict[str, Any]) -> Callable[[], TransferPlan]:
    """Makes the plan that options give. Raises PlanError then, in one sentence, where they do not fit."""

    def plan() -> TransferPlan:
        chosen = {name: value for name, value in given.items() if value is not None and name in settings()}
        chosen = {name: value for name, value in chosen.items() if name not in GIVEN_OTHERWISE}
        return api.plan(find_pair(given), **chosen, data=given["data"], tasks=tuple(given["task"] or ()))

    return plan


@with_plan
def transfer(
    plan: Callable[[], TransferPlan],
    run: Annotated[
        str | None, typer.Option(help="Carry out this run of the queue instead, when no other of the queue is at work.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Continue this run, from its last checkpoint where it has one.")
    ] = None,
    tracker: Tracker = None,
    checkpoint_seconds: Seconds = 20.0,
    as_json: Json = None,
) -> None:
    """Train the student through the teacher's activations (or a rival method), then measure what changed."""
    from pkt_core.runs.queue import turn
    from pkt_core.runs.results import results_json
    from pkt_core.transfer.requirements import needs
    from pkt_core.transfer.teacher_pass import require_plan

    if run is not None and resume is not None:
        raise PlanError("Got both --run and --resume; they name one run. Give one of them.")
    how: dict[str, Any] = {"reporter": progress_bar, "tracker": tracker, "checkpoint_seconds": checkpoint_seconds}
    if name := run or resume:
        opened = named_run(name)
        with turn() if run is not None and first_process() else nullcontext():
            results = carry_out(opened, "transfer", **how)
    else:
        made = plan()
        if first_process():
            require_plan(made, now=True)
            people.print(needs(made).sentence(), style="dim", highlight=False, soft_wrap=True)
        opened, results = carry_out_new(made, **how)
    if first_process():
        deliver({"run": opened.id, **results_json(results)}, as_json, lambda: show_results(opened, results))


@with_plan
def family(
    plan: Callable[[], TransferPlan],
    rival: Annotated[
        list[str] | None, typer.Option(help="A method to compare with; may be repeated, `all` takes all.")
    ] = None,
    control: Annotated[
        list[str] | None, typer.Option(help="A control; may be repeated. Default: all; `none`: none.")
    ] = None,
    seeds: Seeds = 3,
    name: FamilyName = None,
    later: Later = False,
    as_json: Json = None,
) -> None:
    """One transfer with its rivals and controls on the same data, several seeds each, ending in one table.

    If interrupted, the same command with the same --name continues: finished runs are not repeated.
    """
    from pkt_core.studies.families.compute import left_out, members

    made, known = plan(), methods()
    rivals = named("method", [m for m in known if m != made.method] if rival == ["all"] else rival or [], known)
    controls = named("control", CONTROLS if control is None else () if control == ["none"] else control, CONTROLS)
    chosen = members(made, rivals=rivals, controls=controls, seeds=seeds)
    for sentence in left_out(made, controls=controls, seeds=seeds):
        people.print(sentence, style="dim", highlight=False, soft_wrap=True)
    put_in_order(chosen, name, later=later, as_json=as_json)


def put_in_order(members: Sequence[Any], name: str | None, *, later: bool, as_json: str | None) -> None:
    """Carry out the members of a family one after the other, or only put them in the queue; what is finished stays."""
    from pkt_core.base.records import to_json
    from pkt_core.runs.family import place_of, runs_of
    from pkt_core.runs.folder import create_runs
    from pkt_core.runs.queue import enqueue, in_its_own_process
    from pkt_core.studies.families.compute import summary
    from pkt_core.transfer.teacher_pass import require_plan

    require_plan(members[0].plan, now=not later)
    for member in members[1:]:
        member.plan.check_settings()
    name = name or time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    try:
        there = {place.place: run for run in runs_of(name) if (place := place_of(run)) is not None}
    except StoreError:
        there = {}
    new = [
        (member.plan.model_dump(mode="json"), {"family": name, "label": member.label, "place": place})
        for place, member in enumerate(members)
        if place not in there
    ]
    there |= {family["place"]: run for run, (_, family) in zip(create_runs(new), new, strict=True)}
    runs = [there[place] for place in range(len(members))]
    if later:
        enqueue([run.id for run in runs if run.status().state == "queued"])
        deliver(
            {"family": name, "runs": [r.id for r in runs]}, as_json, lambda: Console().print(f"{len(runs)} runs wait.")
        )
        return
    for number, run in enumerate(runs, 1):
        if run.status().state != "done":
            place = place_of(run)
            label = run.id if place is None else place.label
            typer.echo(f"{number} of {len(runs)}: {label}, seed {run.plan()['seed']} ({run.id})", err=True)
            in_its_own_process(run)
    rows = summary(runs)
    deliver({"family": name, "rows": [to_json(row) for row in rows]}, as_json, lambda: show_family(name, rows))


def named(kind: str, given: Any, known: Any) -> list[Any]:
    """The names themselves, which may be typed with hyphens for spaces. Raises PlanError for one that is not known."""
    typed = {hyphened(name): name for name in known}
    for word in given:
        if hyphened(word) not in typed:
            raise PlanError(f"There is no {kind} {word!r}; expected one of {'; '.join(typed.values())}.")
    return [typed[hyphened(word)] for word in given]


def hyphened(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


def families(
    name: Annotated[str | None, typer.Argument(help="A family; default: a list of them.")] = None, as_json: Json = None
) -> None:
    """The table of a family, or which families there are."""
    from pkt_core.base.records import to_json
    from pkt_core.runs.family import runs_of
    from pkt_core.runs.folder import list_runs
    from pkt_core.studies.families.compute import summary

    if name is not None:
        rows = summary(runs_of(name))
        deliver({"family": name, "rows": [to_json(row) for row in rows]}, as_json, lambda: show_family(name, rows))
        return
    counts: dict[str, list[str]] = {}
    for line in list_runs(include_recorded=True):
        if line.state != "damaged" and (belongs := line.family):
            counts.setdefault(belongs.family, []).append(line.state)
    listed = [{"family": f, "runs": len(s), "done": s.count("done")} for f, s in sorted(counts.items())]
    lines: list[list[Any]] = [[entry["family"], entry["runs"], entry["done"]] for entry in listed]
    deliver(listed, as_json, lambda: table("Families", ["family", "runs", "done"], lines))


def queue(
    run: Annotated[str | None, typer.Argument(help="A run to move; default: show the queue.")] = None,
    to: Annotated[int | None, typer.Option(min=0, help="Its new place, 0 is next.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take it out.")] = False,
    as_json: Json = None,
) -> None:
    """The runs that wait, in order; move one, or take it out."""
    from pkt_core.runs import queue as run_queue
    from pkt_core.runs.folder import open_run

    if run is not None:
        if (to is None) == (not remove):
            raise PlanError("Got a run without an action. Give --to PLACE or --remove.")
        run_queue.remove(run) if remove else run_queue.move(run, to or 0)
    order = run_queue.waiting()
    lines: list[list[Any]] = []
    for place, run_id in enumerate(order):
        try:
            plan = open_run(run_id).plan()
        except StoreError:
            plan = {"method": "damaged"}
        lines.append([place, run_id, plan.get("method", ""), plan.get("steps", "")])
    deliver(order, as_json, lambda: table("Queue", ["place", "run", "method", "steps"], lines))


def work() -> None:
    """Carry out what waits in the queue, one run at a time, until nothing does."""
    from pkt_core.runs.queue import in_its_turn, work

    done = work(in_its_turn)
    typer.echo(
        f"{done} runs carried out." if done else "Nothing to do: the queue is empty, or another worker is running it."
    )
