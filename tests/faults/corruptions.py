"""Files that were damaged after they were written: noticed in one sentence or without any effect, never a wrong value or a fault.

What counts, kind by kind, where a value comes back that differs from the true one:

- what the project wrote and reads back as truth (artefacts, checkpoints, targets, plans, results, events, families, the queue,
  kept prompts and tasks, trained students): not held, whatever it is
- of these, a line of events that cannot be read is left out, and a queue that was deleted is empty, as documented: harmless
- status and process files: the row of that run may say what its file says, which is harmless; every other row must stay
- a person's model folder: nobody can know what was meant, so it is harmless, unless the model's digest stays the same
- a person's prompts and tasks: other letters are as legitimate as before, so it is harmless, unless one changed byte makes more
  than two rows vanish, a null byte is taken for text, or a table is read that Python's strict reader refuses

None (nothing there: it is computed again) and a former checkpoint count as noticed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.ground import Ground
from tests.faults.lanes import WHERE, Kind, Outcome

WAYS = {"flip": 35, "truncate": 14, "zero": 13, "append": 12, "swap": 8, "delete": 5, "folder": 4, "loop": 4, "fifo": 5}
PAGE = 4096
SAMPLE = "Paris is a city in France. numbers such as 1 2 3"


@dataclass(frozen=True)
class Subject:
    """Something that is read back from files."""

    name: str
    source: str
    """Folder of the ground that is copied."""
    files: str
    """Which files in it are hit, as a glob."""
    read: Callable[[Path], Any]
    """What the copy says, as a plain value; None where nothing is there."""
    judge: Callable[[Any, Any, str, Path], Outcome]
    """Of the true value, the one that was read, the kind of damage and the file."""
    share: int = 1
    limit: float = 4.0


def damage(path: Path, way: str, others: list[Path], random: Random) -> str:
    """Damage a file; what was done, in words."""
    data = path.read_bytes()
    if way == "flip":
        place, bit = random.randrange(max(1, len(data))), random.randrange(8)
        changed = bytearray(data or b"\0")
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        return f"bit {bit} of byte {place} flipped"
    if way == "truncate":
        length = random.choice([0, random.randrange(max(1, len(data)))])
        os.truncate(path, length)
        return f"cut to {length} of {len(data)} bytes"
    if way == "zero":
        size = min(PAGE, max(1, len(data) // 3))
        start = random.randrange(max(1, len(data) - size + 1)) // size * size
        path.write_bytes(data[:start] + bytes(len(data[start : start + size])) + data[start + size :])
        return f"{size} bytes from {start} zeroed"
    if way == "append":
        more = random.choice([random.randbytes(40), b"{}", b"\0" * 64, b"garbage\n", data])
        path.write_bytes(data + more)
        return f"{len(more)} bytes appended"
    if way == "swap":
        other = random.choice([one for one in others if one != path and one.is_file()] or [path])
        told = other.read_bytes()
        other.write_bytes(data)
        path.write_bytes(told)
        return f"exchanged with {other.name}"
    path.unlink()
    if way == "fifo":
        os.mkfifo(path)
    elif way == "folder":
        path.mkdir()
    elif way == "loop":
        path.symlink_to(path.name)
    return f"replaced by a {way}" if way != "delete" else "deleted"


def attempt(ground: Ground, subject: Subject, random: Random, _index: int, room: Path) -> Outcome:
    """Copy, damage one file, read."""
    from pkt_core.errors import PktError

    true = _true(ground, subject)
    copy = shutil.copytree(ground.home / subject.source, room / "copy")
    files = sorted(path for path in copy.glob(subject.files) if path.is_file())
    path = random.choice(files)
    way = random.choices(list(WAYS), list(WAYS.values()))[0]
    where = f"{re_named(path.relative_to(copy))}, {damage(path, way, files, random)}"
    (room / WHERE).write_text(where)
    os.environ["PKT_CACHE"] = str(copy)
    try:
        found = subject.read(copy)
    except PktError as error:
        sentence = str(error)
        if "Traceback" in sentence or len(sentence) > 600:
            return Outcome("not held", f"{where}: its error is no sentence: {sentence[:100]}")
        return Outcome("held", f"{where}: {sentence[:100]}")
    except BaseException as error:
        return Outcome("not held", f"{where}: {type(error).__name__}: {' '.join(str(error).split())[:90]}")
    if found is None or found == true:
        return Outcome("held", f"{where}: {'as nothing there' if found is None else 'same value'}")
    judged = subject.judge(true, found, way, path)
    return Outcome(judged.verdict, f"{where}: {judged.detail}")


def re_named(path: Path) -> str:
    """A path without the digests in it."""
    return "/".join(part if len(part) < 40 else f"{part[:12]}*" for part in path.parts)


_truths: dict[str, Any] = {}


def _true(ground: Ground, subject: Subject) -> Any:
    """What an undamaged copy says; read once in a lane."""
    if subject.name not in _truths:
        copy = shutil.copytree(ground.home / subject.source, ground.home / f"true-{subject.name}-{os.getpid()}")
        os.environ["PKT_CACHE"] = str(copy)
        _truths[subject.name] = subject.read(copy)
        shutil.rmtree(copy)
        assert _truths[subject.name] is not None, f"{subject.name} cannot be read undamaged"
    return _truths[subject.name]


# What each subject says.


def digest_of(tensors: dict[str, Any]) -> str:
    """One digest over names, shapes, types and bits."""
    import torch

    told = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        told.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        told.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return told.hexdigest()


def artefact(kind: str, copy: Path) -> Any:
    from pkt_core.base.store import list_artefacts, load_artefact

    list_artefacts(kind)
    [folder] = [one for one in (copy / "artefacts").glob(f"{kind}-*") if "damaged" not in one.name]
    found = load_artefact(kind, folder.name.removeprefix(f"{kind}-"))
    return found and (digest_of(found[0]), found[1])


def targets(copy: Path) -> Any:
    from pkt_core.transfer.targets import read_targets

    [folder] = (copy / "artefacts").glob("targets-*")
    found = read_targets(folder)
    if found is None:
        return None
    shards = [digest_of(shard) for shard in found.shards]
    return found.starts, shards, found.first_rows, digest_of(found.extract), found.facts


def checkpoint(copy: Path) -> Any:
    from pkt_core.transfer.checkpoint import Checkpoints

    found = Checkpoints(copy / "runs" / "r" / "checkpoints").load()
    return found and (found[1]["step"], digest_of(found[0]), found[1])


def run_file(read: Callable[[Any], Any], name: str, _copy: Path) -> Any:
    from pkt_core.runs.folder import open_run

    return read(open_run(name))


def plan(run: Any) -> Any:
    from pkt_core.transfer.plan import TransferPlan

    return TransferPlan.read(run.plan(), run.folder / "plan.json").model_dump()


def rows_of_list(_copy: Path) -> Any:
    """The list of runs, by name."""
    from pkt_core.runs.folder import list_runs

    return {one.id: [one.state, one.message, one.fraction, one.created, one.finished, one.plan] for one in list_runs()}


def queue(_copy: Path) -> Any:
    from pkt_core.runs.queue import waiting, worker

    return [waiting(), worker() is not None]


def kept_prompts(ground: Ground, _copy: Path) -> Any:
    return prompts((ground.home / "kept.txt").read_text())


def kept_task(ground: Ground, _copy: Path) -> Any:
    return examples((ground.home / "kept-task.txt").read_text())


def prompts(name: str) -> Any:
    from pkt_core.data.prompts import load_prompts

    found = load_prompts(name)
    labels = sorted(found.labels.items())
    # A label that one row alone has, by a flipped letter of its name, is (none) in all others, as documented.
    return [
        (text, *(f"{key}={values[i]}" for key, values in labels if values[i] != "(none)"))
        for i, text in enumerate(found.texts)
    ]


def examples(name: str) -> Any:
    from pkt_core.data.examples import load_examples

    return [(one.prompt, one.answer, one.group, *one.choices) for one in load_examples(name).items]


def user_file(name: str, copy: Path) -> Any:
    return (examples if name.startswith("task") else prompts)(str(copy / name))


def student(copy: Path) -> Any:
    from pkt_core.runs.folder import open_run
    from pkt_core.transfer.export import open_student
    from pkt_core.transfer.plan import TransferPlan

    run = open_run("r")
    return of_model(open_student(copy / "runs" / "r" / "student", TransferPlan.read(run.plan(), run.folder)))


def model(copy: Path) -> Any:
    from pkt_core.models.loading import load, model_digest
    from pkt_core.models.ref import ModelRef

    ref = ModelRef(name=str(copy), device="cpu", dtype="float32")
    digest = model_digest(ref)
    return [digest, *of_model(load(ref))]


def of_model(loaded: Any) -> list[Any]:
    """Weights, how a text is cut, what ends a text."""
    ids = loaded.tokenizer(SAMPLE)["input_ids"]
    return [digest_of(loaded.model.state_dict()), ids, loaded.tokenizer.decode(ids), loaded.ends, loaded.context]


# What a value means that differs.


def never(_true: Any, found: Any, _way: str, _path: Path) -> Outcome:
    return Outcome("not held", f"another value without a word: {str(found)[:60]}")


def former_or_never(true: Any, found: Any, way: str, path: Path) -> Outcome:
    """A former checkpoint is one that was saved: its step is earlier, and its own digest is checked by who kept it."""
    if found[0] < true[0] and not (path.parents[0] / path.name).parent.match(f"step-{found[0]:08d}"):
        return Outcome("held", f"the former checkpoint, of step {found[0]}")
    return never(true, found, way, path)


def that_row_alone(true: Any, found: Any, way: str, path: Path) -> Outcome:
    own = path.parent.name
    if way == "swap":
        return Outcome("harmless", "two rows say what their files say")
    if lost := [name for name in true if name != own and found.get(name) != true[name]]:
        return Outcome("not held", f"other rows changed: {', '.join(lost)}")
    if own not in found:
        return Outcome("not held", f"the row of {own} is gone from the list")
    if found[own][0] == "damaged":
        return Outcome("held", f"damaged: {found[own][1][:80]}")
    return Outcome("harmless", "the row says what its file says")


def unless_left_out(true: Any, found: Any, way: str, path: Path) -> Outcome:
    """Lines that cannot be read are left out, as documented, so what is left stands in the true order."""
    rest = iter(true)
    if all(any(event == other for other in rest) for event in found) and (found or way in ("delete", "truncate")):
        return Outcome("harmless", f"{len(true) - len(found)} of {len(true)} lines are left out")
    return never(true, found, way, path)


def unless_deleted(true: Any, found: Any, way: str, path: Path) -> Outcome:
    """A file that may be missing at any time."""
    return Outcome("harmless", "none is there") if way == "delete" else never(true, found, way, path)


def unless_digest_stays(true: Any, found: Any, _way: str, _path: Path) -> Outcome:
    if found[0] == true[0]:
        return Outcome("not held", "another model under the same digest")
    return Outcome("harmless", "another model, and its digest says so")


def as_letters(true: Any, found: Any, way: str, path: Path) -> Outcome:
    missing = (Counter(true) - Counter(found)).total()
    if way in ("flip", "append") and missing > (2 if way == "flip" else 1):
        return Outcome("not held", f"{missing} of {len(true)} rows vanished or changed without a word")
    if any("\0" in cell for row in found for cell in row):
        return Outcome("not held", "null bytes were taken for text")
    if path.suffix == ".csv":
        try:
            list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True))
        except csv.Error as error:
            return Outcome("not held", f"a broken table was read ({error})")
    return Outcome("harmless", "other letters, rightly read")


def subjects(ground: Ground) -> list[Subject]:
    """All that is read back."""
    run = "runs/r/"
    return [
        Subject("comparison", "done", "artefacts/comparison-*/*", partial(artefact, "comparison"), never, 2),
        Subject("states", "done", "artefacts/states-*/*", partial(artefact, "states"), never, 2),
        Subject("targets", "done", "artefacts/targets-*/*", targets, never, 3),
        Subject("checkpoint", "stopped", "runs/r/checkpoints/**/*", checkpoint, former_or_never, 4),
        Subject("plan", "done", run + "plan.json", partial(run_file, plan, "r"), never),
        Subject("results", "done", run + "results.json", partial(run_file, lambda r: r.results(), "r"), never),
        Subject("events", "done", run + "events.jsonl", partial(run_file, lambda r: r.events(), "r"), unless_left_out),
        Subject("family", "done", "runs/w0/family.json", partial(run_file, lambda r: r.family(), "w0"), never),
        Subject("status", "done", "runs/*/status.json", rows_of_list, that_row_alone, 2),
        Subject("process", "done", "runs/*/process.json", rows_of_list, that_row_alone),
        Subject("queue", "done", "runs/*.json", queue, unless_deleted, 2),
        Subject("kept-prompts", "done", "prompts/*", partial(kept_prompts, ground), never),
        Subject("kept-task", "done", "tasks/*", partial(kept_task, ground), never),
        Subject("student", "done", run + "student/*[!d]", student, never, 3, 30),
        Subject("model", "teacher", "*[!d]", model, unless_digest_stays, 3, 30),
        Subject("model-in-shards", "sharded", "*[!d]", model, unless_digest_stays, 2, 30),
        *(
            Subject(name.replace(".", "-"), "user", name, partial(user_file, name), as_letters)
            for name in ("prompts.txt", "prompts.jsonl", "prompts.csv", "task.jsonl", "task.csv")
        ),
    ]


def kinds(ground: Ground, n: int) -> list[Kind]:
    """All corruptions, `n` of them together."""
    found = subjects(ground)
    whole = sum(subject.share for subject in found)
    promises = {
        never: "noticed or the true value",
        former_or_never: "noticed, the true value or the former checkpoint",
        unless_left_out: "noticed, the true value or lines left out",
        unless_deleted: "noticed or the true value",
        that_row_alone: "the list stays, other rows stay",
        unless_digest_stays: "one sentence, or another model under another digest",
        as_letters: "one sentence, or rightly read",
    }
    return [
        Kind(
            f"corrupt-{subject.name}",
            promises[subject.judge],
            partial(attempt, ground, subject),
            max(1, round(n * subject.share / whole)) if n else 0,
            subject.limit,
            0.5 if subject.limit > 5 else 0.2,
            ("done", "stopped"),
        )
        for subject in found
    ]


def write_user_files(home: Path) -> None:
    """Prompts and tasks as people write them: labels, several alphabets, quoted cells over several lines."""
    folder = home / "user"
    folder.mkdir()
    texts = [f"{word} number {i}, “quoted”" for i in range(20) for word in ("Straße", "мир", "日本")]
    (folder / "prompts.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    rows = [{"text": text, "kind": "ab"[i % 2], "place": str(i)} for i, text in enumerate(texts)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    with (folder / "prompts.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["kind", "text", "place"])
        table.writeheader()
        table.writerows({**row, "text": row["text"] + ("\nand more" if i % 3 else "")} for i, row in enumerate(rows))
    tasks = [{"prompt": f"{t} is", "answer": " so.", "group": "g"} for t in texts]
    (folder / "task.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in tasks), "utf-8")
    with (folder / "task.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["prompt", "answer", "group", "choices"])
        table.writeheader()
        table.writerows({**row, "choices": " so.| not so."} for row in tasks)
