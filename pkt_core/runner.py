"""Carries out a run: its plan through the pipeline, a status that stays correct whatever happens, and the command that repeats it."""

from __future__ import annotations

import errno
import os
import shlex
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pkt_core.base.files import cache_root
from pkt_core.base.progress import Progress, silent
from pkt_core.base.staging import sweep
from pkt_core.errors import (
    LayerNotFound,
    ModelError,
    PktError,
    PlanError,
    PromptError,
    StoreError,
    VocabularyMismatch,
)

if TYPE_CHECKING:
    from pkt_core.runs.results import RunResults

Reporter = Callable[[], AbstractContextManager[Progress]]
"""Opens whatever shows a run's progress, a bar in a terminal for instance, and closes it when the run is over."""
REFUSALS = (ModelError, LayerNotFound, VocabularyMismatch, PromptError, PlanError)
"""Errors of a plan that can never be carried out as it is."""
TELL_SECONDS = 1.0
"""Seconds between two progress updates of the same stage."""


def quiet() -> AbstractContextManager[Progress]:
    """A reporter that shows nothing; progress is still written to the run's status."""
    return nullcontext(silent)


def first_process() -> bool:
    """Whether this is the process that writes files, where `accelerate launch` started several."""
    return os.environ.get("RANK", "0") == "0"


def shared_run(plan: Any) -> Any:
    """A new run for this plan, the same one in every process of a launch; only the first writes to it."""
    from pkt_core.runs.folder import create_run, open_run

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return create_run(plan.model_dump(mode="json"))
    from pkt_core.models.loading import choose_device
    from pkt_core.transfer.devices import Processes

    processes = Processes(choose_device(plan.student.device))
    made = create_run(plan.model_dump(mode="json")).id if processes.first else None
    return replace(open_run(processes.agree(made)), watched=not processes.first)


def carry_out(
    run: Any,
    what: str,
    *,
    reporter: Reporter = quiet,
    tracker: str | None = None,
    checkpoint_seconds: float = 20.0,
) -> RunResults:
    """Run a stage of the pipeline in its run folder, its status kept true whatever happens; `reporter` shows progress meanwhile.

    Raises StoreError, and changes nothing, where another process carries the run out, or it is finished and was to be continued.
    """
    from pkt_core.runs.queue import forget

    run.require_writable()
    if not first_process():
        run = replace(run, watched=True)
    run.claim()
    try:
        if not run.watched:
            if what == "transfer" and run.status().state == "done" and measured(run):
                raise StoreError(
                    f"Run {run.id} is finished and measured. Measure it again with `pkt evaluate {run.id}`, or start a new run from its plan."
                )
            sweep(cache_root())
            forget(run.id)
        return claimed(run, what, reporter, tracker, checkpoint_seconds)
    finally:
        run.release()


def carry_out_new(plan: Any, **how: Any) -> tuple[Any, RunResults]:
    """A new run of a plan, and its results; settings are those of `carry_out`.

    A plan that does not fit the models or the data leaves no run, only the error sentence.
    """
    run = shared_run(plan)
    try:
        return run, carry_out(run, "transfer", **how)
    except REFUSALS:
        if first_process() and not run.events():
            run.delete()
        raise


def measured(run: Any) -> bool:
    """Whether a run has results that can be read, down to behaviour."""
    try:
        results = run.results()
        return results is not None and results.behaviour is not None
    except StoreError:
        return False


def claimed(run: Any, what: str, reporter: Reporter, tracker: str | None, checkpoint_seconds: float) -> RunResults:
    """The same for a run that this process has to itself."""
    from pkt_core import pipeline
    from pkt_core.runs.folder import Stopped
    from pkt_core.runs.results import RunResults
    from pkt_core.transfer import training
    from pkt_core.transfer.checkpoint import Checkpoints
    from pkt_core.transfer.export import write_card
    from pkt_core.transfer.plan import TransferPlan

    plan = TransferPlan.read(run.plan(), run.folder / "plan.json")
    checkpoints = Checkpoints(run.folder / "checkpoints", checkpoint_seconds)
    with reporter() as bar:
        shown_stage, when = "", 0.0

        def progress(stage: str, done: float) -> None:
            nonlocal shown_stage, when
            bar(stage, done)
            if stage != shown_stage or time.monotonic() - when > TELL_SECONDS:
                shown_stage, when = stage, time.monotonic()
                run.write_status("running", message=stage, fraction=done)

        try:
            progress("Starting", 0.0)
            results = (
                pipeline.transfer(plan, run, progress=progress, checkpoints=checkpoints, tracker=tracker)
                if what == "transfer"
                else pipeline.evaluate(run, progress=progress)
            )
            results = replace(results, command=command_for(plan))
            run.write_results(results)
            if (
                first_process() and results.layers is not None and results.layers.pairs
            ):  # the first version's card stays
                write_card(run.folder / "student", plan, results)
        except Stopped:
            trained = what == "evaluate" or training.finished_training(plan, run)
            at = (
                "while its behaviour was measured; the trained student is kept"
                if trained
                else "before training continued"
            )
            run.write_status("stopped", message=f"Stopped {at}.")
            return (run.results() if trained else None) or RunResults()
        except KeyboardInterrupt:
            run.write_status("stopped", message="Interrupted from the keyboard.")
            raise
        except Exception as error:
            run.write_status("failed", message=one_sentence(error) + kept(run, checkpoints))
            raise
    stopped = results.steps is not None and results.steps < plan.total_steps
    run.write_status(
        "stopped" if stopped else "done",
        message=f"Stopped after step {results.steps} of {plan.total_steps}."
        if stopped
        else results.unmeasured or "Done.",
    )
    return results


def kept(run: Any, checkpoints: Any) -> str:
    """What is left of a run that failed, as a sentence to add; empty where it has no checkpoint."""
    step = checkpoints.steps()
    if not step:
        return ""
    return f" Its state after step {step} is kept: `pkt transfer --resume {run.id}` continues from there."


def mendable(error: BaseException) -> str | None:
    """How the user can correct an error, in one sentence; None where it is a bug."""
    if isinstance(error, PktError):
        return str(error)
    # safetensors reports a full disk only in its message.
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "No space left" in str(error):
        return "The disk is full: nothing more could be written. Free some space and run the command again."
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "Memory ran out. Use a smaller batch size, dtype bfloat16, or a smaller model."
    return None


def one_sentence(error: BaseException) -> str:
    """What went wrong, for the status of a run."""
    if (sentence := mendable(error)) is not None:
        return sentence
    text = " ".join(str(error).split())[:200]
    return f"Unexpected {type(error).__name__}: {text}. This is a fault of the program; please report it with the log."


def command_for(plan: Any) -> str:
    """The command that does the same again."""
    from pkt_core.models.catalog import demo_pair

    demo = demo_pair()
    words = ["pkt", "transfer"]
    same = plan.teacher.name == demo.teacher.name and plan.student.name == demo.student.name
    words += ["--pair", "demo"] if same else ["--teacher", plan.teacher.name, "--student", plan.student.name]
    for name in ("device", "dtype"):
        if (value := getattr(plan.student, name)) != "auto":
            words += [f"--{name}", value]
    defaults = {"data": demo.examples if same else None, "prompts": demo.prompts if same else "general"}
    for name in type(plan).model_fields:
        value = getattr(plan, name)
        if name in ("teacher", "student", "tasks"):
            continue
        usual = defaults.get(name, type(plan).default(name, plan.method))
        if (value != usual and value is not None) or name in ("method", "seed"):
            flag = name.replace("_", "-")
            words += (
                [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
            )
    if not same or plan.tasks != demo.tasks:
        for name in plan.tasks:
            words += ["--task", name]
    return shlex.join(words)
