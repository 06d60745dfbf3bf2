"""Carrying out a run: its plan through the pipeline, its status kept true whatever happens, and the command that does it again."""

from __future__ import annotations

import errno
import shlex
from typing import Any

from pkt_core.errors import PktError
from pkt_core.terminal import progress_bar


def carry_out(run: Any, what: str) -> dict[str, Any]:
    """Run a stage of the pipeline in its run folder, its status kept true whatever happens."""
    from pkt_core import pipeline
    from pkt_core.transfer.plan import TransferPlan

    plan = TransferPlan.read(run.plan(), run.folder / "plan.json")
    with progress_bar() as bar:
        said = ""

        def progress(stage: str, done: float) -> None:
            nonlocal said
            bar(stage, done)
            if stage != said:
                said = stage
                run.write_status("running", message=stage, fraction=done)

        try:
            progress("Starting", 0.0)
            results = (
                pipeline.transfer(plan, run, progress=progress)
                if what == "transfer"
                else pipeline.evaluate(run, progress=progress)
            )
            results["command"] = command_for(plan)
            run.write_results(results)
        except KeyboardInterrupt:
            run.write_status("stopped", message="Interrupted from the keyboard.")
            raise
        except Exception as error:
            run.write_status("failed", message=one_sentence(error))
            raise
    stopped = results.get("steps", plan.total_steps) < plan.total_steps
    run.write_status(
        "stopped" if stopped else "done",
        message=f"Stopped after step {results['steps']} of {plan.total_steps}." if stopped else "Done.",
    )
    return results


def mendable(error: BaseException) -> str | None:
    """What a person can do about an error, in one sentence; None where it is a fault of ours."""
    if isinstance(error, PktError):
        return str(error)
    # safetensors tells a full disk in words only.
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
    from pkt_core.catalog import demo_pair

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
        if (value != defaults.get(name, plan.default(name, plan.method)) and value is not None) or name in (
            "method",
            "seed",
        ):
            words += [f"--{name.replace('_', '-')}", str(value)]
    if not same or plan.tasks != demo.tasks:
        for name in plan.tasks:
            words += ["--task", name]
    return shlex.join(words)
