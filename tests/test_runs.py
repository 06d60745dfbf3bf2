"""A run folder tells the truth whatever happened to the process that wrote it."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pkt_core.base.sealed import read_sealed
from pkt_core.errors import StoreError
from pkt_core.runs import family as run_family
from pkt_core.runs import folder as run_folder
from pkt_core.runs import status as run_status
from pkt_core.runs.results import RunResults, Seconds
from pkt_core.runs.status import Process, RunStatus

PLAN = {"method": "semalign-v1", "seed": 0, "teacher": {"name": "demo"}}
WORKER = """
import sys, time
from pkt_core.runs.folder import open_run
run = open_run(sys.argv[1])
run.write_status("running", step=3, total_steps=10, message="Training")
run.append_event({"kind": "step", "step": 3})
print("ready", flush=True)
time.sleep(60)
"""


@contextmanager
def worker(run: run_folder.Run):
    """A real process that reports step 3 of 10 and then hangs; killed at the end, whatever the test did."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, run.id], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def dead_process() -> Process:
    process = subprocess.Popen([sys.executable, "-c", ""])
    found = Process.of(process.pid)
    process.wait()
    return found


def rewrite_status(run: run_folder.Run, **changes) -> None:
    path = run.folder / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_new_run_is_queued_and_named_by_time_and_method(cache):
    run = run_folder.create_run(PLAN)
    assert run_folder.re.fullmatch(r"\d{8}-\d{6}-semalign-v1-[0-9a-f]{4}", run.id)
    assert run.folder == cache / "runs" / run.id
    assert sorted(path.name for path in run.folder.iterdir()) == ["plan.json", "status.json"]
    assert run.plan() == PLAN
    found = run.status()
    assert (found.kind, found.state, found.pid, found.started) == ("transfer", "queued", None, None)
    assert run.results() is None
    assert run.events() == []
    assert run_folder.open_run(run.id) == run
    assert run_folder.open_run(run.folder) == run
    assert run_folder.create_run({}, kind="compare").id.split("-")[2] == "compare"


def test_a_name_is_taken_once():
    run_folder.create_run(PLAN, run_id="mine")
    with pytest.raises(StoreError, match=r"a run 'mine' already.*Choose another"):
        run_folder.create_run(PLAN, run_id="mine")


def test_a_run_that_cannot_be_written_leaves_nothing(cache, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="The disk is full"):
            run_folder.create_run(PLAN)
    assert list((cache / "runs").iterdir()) == []


def test_status_from_start_to_end():
    run = run_folder.create_run(PLAN)
    begun = run.write_status("running", total_steps=10, message="Loading")
    assert (begun.state, begun.step, begun.message, begun.pid) == ("running", 0, "Loading", os.getpid())
    assert begun.created <= begun.started <= begun.updated
    later = run.write_status("running", step=4)
    assert (later.step, later.total_steps, later.fraction, later.message) == (4, 10, 0.4, "Loading")
    assert later.started == begun.started
    done = run.write_status("done", fraction=1.0, message="Done.")
    assert run.status() == done
    assert done.finished is not None
    assert done.eta_seconds is None


def test_remaining_time_is_the_mean_pace_since_progress_began(monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(run_status.time, "time", lambda: float(next(clock)))
    now = RunStatus(kind="transfer", state="running", created=0, updated=0)
    told = {"step": None, "total_steps": None, "message": None}
    now = now.advanced("running", fraction=0.2, **told)
    assert now.eta_seconds is None, "one figure gives no pace"
    now = now.advanced("running", fraction=0.4, **told)
    assert now.eta_seconds == pytest.approx(30)
    now = now.advanced("running", fraction=0.6, **told)
    assert now.eta_seconds == pytest.approx(20)
    assert now.advanced("done", fraction=1.0, **told).eta_seconds is None


def test_status_is_replaced_in_one_piece(monkeypatch):
    run = run_folder.create_run(PLAN)
    run.write_status("running", step=1)

    def full(*_args):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(StoreError, match="The disk is full"):
            run.write_status("running", step=2)
    assert run.status().step == 1
    assert sorted(path.name for path in run.folder.iterdir()) == ["plan.json", "run.lock", "status.json"]


def test_a_killed_process_is_noticed_and_a_living_one_is_left_in_peace():
    run = run_folder.create_run(PLAN)
    with worker(run) as process:
        assert run.status().state == "running"
        assert run.status().pid == process.pid
        assert run.events() == [{"kind": "step", "step": 3}]
        with pytest.raises(StoreError, match=f"already running in process {process.pid}"):
            run.write_status("running")
        with pytest.raises(StoreError, match=r"is running.*Stop it first"):
            run.delete()
        process.send_signal(signal.SIGKILL)
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert run.status().state == "lost", "a zombie, not yet waited for, is dead"
    found = run.status()
    assert found.state == "lost"
    assert "gone at step 3 of 10" in found.message
    assert "pkt transfer --resume" in found.message
    assert json.loads((run.folder / "status.json").read_text())["state"] == "running", "reading changes nothing"
    assert run_folder.list_runs()[0].state == "lost"
    run.delete()
    assert run_folder.list_runs() == []


def test_a_recycled_process_number_is_another_process():
    run = run_folder.create_run(PLAN)
    run.write_status("running")
    assert run.status().state == "running"
    mine = Process.of(os.getpid())
    rewrite_status(run, process=mine.model_copy(update={"created": mine.created - 3600}).model_dump())
    assert run.status().state == "lost"


def test_a_run_of_another_machine_is_believed_until_it_falls_silent():
    run = run_folder.create_run(PLAN)
    run.write_status("running")
    rewrite_status(run, process=Process.of(os.getpid()).model_copy(update={"host": "elsewhere"}).model_dump())
    assert run.status().state == "running"
    with pytest.raises(StoreError, match="is running"):
        run.delete()
    rewrite_status(run, updated=time.time() - 2 * run_status.SILENT_SECONDS)
    assert run.status().state == "lost", "that a process here has the same number proves nothing"


def test_a_process_that_dies_before_its_first_word_is_noticed():
    run = run_folder.create_run(PLAN)
    run.record_process(os.getpid())
    assert run.status().state == "queued"
    assert run.process().pid == os.getpid()
    (run.folder / "process.json").write_text(json.dumps({"process": dead_process().model_dump()}))
    assert run.status().state == "lost"
    assert "before its first step" in run.status().message


def test_a_run_ended_by_force_after_a_stop_request_is_stopped():
    run = run_folder.create_run(PLAN)
    with worker(run):
        run.request_stop()
        assert run.stop_requested()
        assert run.status().state == "running"
    assert run.status().state == "stopped"
    assert "by force at step 3 of 10" in run.status().message


def test_a_stop_asked_while_queued_holds_and_one_of_an_earlier_attempt_does_not():
    run = run_folder.create_run(PLAN)
    assert not run.stop_requested()
    run.request_stop()
    run.write_status("running", step=5, total_steps=10)
    assert run.stop_requested()
    run.write_status("stopped")
    again = run.write_status("running")
    assert not run.stop_requested()
    assert (again.step, again.fraction, again.finished) == (0, 0.0, None)


def test_events_are_read_on_from_where_one_was():
    run = run_folder.create_run(PLAN)
    seen: list[dict] = []
    for step in range(5):
        run.append_event({"kind": "step", "step": step, "text": "zwölf\nZeilen"})
        seen += run.events(after=len(seen))
    assert seen == run.events()
    assert [event["step"] for event in seen] == list(range(5))
    assert run.events(after=5) == []
    assert run.events(after=99) == []


def test_a_torn_line_costs_only_itself():
    run = run_folder.create_run(PLAN)
    run.append_event({"step": 0})
    with open(run.folder / "events.jsonl", "ab") as file:
        file.write(b'{"step": 1, "te')
    assert run.events() == [{"step": 0}]
    run.append_event({"step": 2})
    assert run.events() == [{"step": 0}, {"step": 2}]
    with open(run.folder / "events.jsonl", "ab") as file:
        file.write(b'{"step": 3}')
    assert run.events(after=1) == [{"step": 2}], "a line without its end may still be under way"


def test_events_that_do_not_fit_on_the_disk_are_told(monkeypatch):
    run = run_folder.create_run(PLAN)

    def full(*_args):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(run_folder, "open", full, raising=False)
    with pytest.raises(StoreError, match="The disk is full"):
        run.append_event({"step": 0})


def test_results_come_back_and_damage_is_told():
    run = run_folder.create_run(PLAN)
    run.write_results(RunResults(seconds=Seconds(training=1.5)))
    assert run.results() == RunResults(seconds=Seconds(training=1.5))
    (run.folder / "results.json").write_text("[1")
    with pytest.raises(StoreError, match=r"results.json is damaged"):
        run.results()


OUTSIDE = ["../secret", "..", ".", "", "a/../../secret", "/etc", "a\\b", ".hidden", "a..b", "a\0b", "a\n", "x" * 101]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_never_leaves_the_folder_of_runs(cache, name):
    (cache / "secret").mkdir(parents=True)
    (cache / "secret" / "plan.json").write_text("{}")
    with pytest.raises(StoreError, match="is not a valid run name"):
        run_folder.open_run(name)
    with pytest.raises(StoreError, match="is not a valid run name"):
        run_folder.create_run(PLAN, run_id=name)


def test_a_method_from_a_plan_never_leaves_the_folder_either(cache):
    assert run_folder.create_run({"method": "../../x"}).folder.parent == cache / "runs"
    assert "-transfer-" in run_folder.create_run({"method": "../"}).id


def test_listing_runs_loads_no_torch():
    code = "import sys, pkt_core.runs.folder as runs; runs.list_runs(include_recorded=True); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_run_names_near_ones():
    with pytest.raises(StoreError, match="There is no run 'mine'; "):
        run_folder.open_run("mine")
    run_folder.create_run(PLAN, run_id="first-try")
    run_folder.create_run(PLAN, run_id="other")
    with pytest.raises(StoreError, match="near ones: first-try"):
        run_folder.open_run("first-tri")


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(StoreError, match=r"is not a run: expected a folder with a plan.json"):
        run_folder.open_run(tmp_path)


def lose_plan(folder: Path) -> None:
    (folder / "plan.json").unlink()


def tear_plan(folder: Path) -> None:
    (folder / "plan.json").write_text('{"method"')


def list_plan(folder: Path) -> None:
    (folder / "plan.json").write_text("[]")


def lose_status(folder: Path) -> None:
    (folder / "status.json").unlink()


def odd_status(folder: Path) -> None:
    (folder / "status.json").write_text('{"state": "dancing"}')


DAMAGE = {
    lose_plan: "plan.json is missing",
    tear_plan: "plan.json is damaged",
    list_plan: "plan.json is damaged",
    lose_status: "status.json is missing",
    odd_status: "status.json is damaged: it is not a run status",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_listed_with_its_reason_and_can_be_deleted(damage, cache):
    run_folder.create_run(PLAN, run_id="whole")
    broken = run_folder.create_run(PLAN, run_id="broken")
    damage(broken.folder)
    (cache / "runs" / "stray.txt").write_text("no run")
    (cache / "runs" / ".new-half-made").mkdir()
    found = {summary.id: summary for summary in run_folder.list_runs()}
    assert found.keys() == {"whole", "broken"}
    assert (found["whole"].state, found["whole"].method, found["whole"].plan) == ("queued", "semalign-v1", PLAN)
    assert (found["broken"].state, found["broken"].plan) == ("damaged", None)
    assert DAMAGE[damage] in found["broken"].message
    run_folder.open_run("broken").delete()
    assert [summary.id for summary in run_folder.list_runs()] == ["whole"]


FILES = ("status.json", "process.json", "plan.json", "family.json", "results.json")
NUMBER = {"status.json": "created", "process.json": "process", "plan.json": "steps", "family.json": "place", "results.json": "steps"}  # fmt: skip
NONSENSE = {
    "nothing": lambda path: path.write_bytes(b""),
    "no UTF-8": lambda path: path.write_bytes(b"\xff\xfe{}"),
    "a list": lambda path: path.write_text("[]"),
    "a number": lambda path: path.write_text("7"),
    "too deep": lambda path: path.write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "5,000 digits": lambda path: path.write_text(f'{{"{NUMBER[path.name]}": {"9" * 5000}}}'),
    "no number": lambda path: patch(path, NUMBER[path.name], float("nan")),
    "below zero": lambda path: patch(path, NUMBER[path.name], -1),
    "huge": lambda path: patch(path, NUMBER[path.name], 10**300),
    "a text": lambda path: patch(path, NUMBER[path.name], "soon"),
    "an object": lambda path: patch(path, NUMBER[path.name], {"a": {"b": []}}),
    "a folder": lambda path: (path.unlink(missing_ok=True), path.mkdir()),
    "a pipe": lambda path: (path.unlink(missing_ok=True), os.mkfifo(path)),
    "a loop": lambda path: (path.unlink(missing_ok=True), path.symlink_to(path.name)),
}
PIDS = (-1, 0, 2**63, 10**30, "1", None, True, 1.5, {}, [])


def patch(path: Path, name: str, value) -> None:
    told = json.loads(path.read_text()) if path.is_file() else {}
    told.pop("digest", None)  # as somebody writes it by hand, or an earlier version did
    path.write_text(json.dumps({**told, name: value}))


def family_of_two(damaged: str = "broken"):
    plan = {**PLAN, "steps": 3, "student": {"name": "x"}}
    for place, name in enumerate(("whole", damaged)):
        made = run_folder.create_run(plan, run_id=name, family={"family": "f", "label": "a", "place": place})
        made.record_process(os.getpid())
        made.write_status("running", message="Training")
        made.write_results(RunResults(steps=3, seconds=Seconds(training=1.0)))
        made.write_status("done", message="Done.")
    return run_folder.open_run(damaged)


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("file", FILES)
def test_nonsense_in_one_file_takes_that_run_away_and_no_list(file, nonsense):
    from pkt_core.runs import queue as run_queue
    from pkt_core.studies.behaviour import controls as behaviour_controls
    from pkt_core.studies.factors import compute as factors_compute
    from pkt_core.studies.families import compute as families_compute

    broken = family_of_two()
    NONSENSE[nonsense](broken.folder / file)
    found = {summary.id: summary for summary in run_folder.list_runs()}
    assert found.keys() == {"whole", "broken"}
    assert found["whole"].state == "done"
    assert found["broken"].state == ("damaged" if file in ("status.json", "plan.json") else "done")
    assert "Traceback" not in found["broken"].message
    assert run_queue.waiting() == []
    there = [run.id for run in run_family.runs_of("f")]
    assert there == (["whole"] if file in ("family.json", "status.json", "plan.json") else ["whole", "broken"])
    assert families_compute.summary([run_folder.open_run(name) for name in found]) == []
    assert run_family.seeds_of(run_folder.open_run("whole")).seeds == []
    assert factors_compute.gather([run_folder.open_run(name) for name in found]) == []
    assert all(one.run.recorded for one in behaviour_controls.finished("whole"))
    if file in ("family.json", "results.json"):
        with pytest.raises(StoreError, match="json"):
            broken.family() if file == "family.json" else broken.results()
    broken.delete()
    assert [summary.id for summary in run_folder.list_runs()] == ["whole"]


@pytest.mark.parametrize("pid", PIDS, ids=repr)
def test_a_process_that_cannot_be_is_none(pid):
    broken = family_of_two()
    patch(broken.folder / "process.json", "process", {"pid": pid, "created": 1.0, "host": "x"})
    rewrite_status(broken, process={"pid": pid, "created": 1.0, "host": "x"}, state="running")
    found = {summary.id: summary for summary in run_folder.list_runs()}
    assert found["whole"].state == "done"
    assert found["broken"].state == "damaged"
    assert broken.process() is None


@pytest.mark.parametrize("file", ["plan.json", "family.json", "results.json"])
def test_any_byte_of_a_run_that_is_another_is_noticed_and_a_run_of_an_earlier_version_opens(file):
    run = family_of_two()
    read = {"plan.json": run.plan, "family.json": run.family, "results.json": run.results}[file]
    path, told = run.folder / file, read()
    plain = read_sealed(path)
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        with pytest.raises(StoreError, match="is damaged"):
            read()
    path.write_text(json.dumps(plain, indent=1) + "\n")
    assert read() == told


def test_a_line_of_events_with_another_byte_is_left_out_and_no_other():
    run = run_folder.create_run(PLAN)
    events = [{"kind": "step", "step": 1, "loss": 0.5}, {}, {"kind": "step", "step": 2, "text": "zwölf"}]
    for event in events:
        run.append_event(event)
    assert run.events() == events
    path = run.folder / "events.jsonl"
    data = path.read_bytes()
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    for place in range(last, len(data) - 1):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        assert run.events() == events[:2], place
    path.write_bytes(data + b'{"step": 3}\n')  # of an earlier version
    assert run.events() == [*events, {"step": 3}]
    run.forget_events(after_step=1)
    assert run.events() == [*events[:2], {"step": 3}]


def test_a_run_asked_to_stop_says_so_between_two_tellings():
    run, told = run_folder.create_run(PLAN), []
    progress = run.heeding(lambda stage, done: told.append((stage, done)))
    progress("Asking", 0.5)
    run.request_stop()
    with pytest.raises(run_folder.Stopped):
        progress("Asking", 0.6)
    assert told == [("Asking", 0.5)]
    run.withdraw_stop()
    progress("Asking", 0.7)
    assert len(told) == 2


def test_several_runs_are_made_or_none(cache, monkeypatch):
    real, left = run_folder.create_run, [3]

    def fills_up(*given, **more):
        left[0] -= 1
        if not left[0]:
            raise StoreError("The disk is full: so it is said.")
        return real(*given, **more)

    members = [(PLAN, {"family": "f", "label": "a", "place": place}) for place in range(4)]
    with monkeypatch.context() as patched:
        patched.setattr(run_folder, "create_run", fills_up)
        with pytest.raises(StoreError, match="disk is full"):
            run_folder.create_runs(members)
    assert list((cache / "runs").iterdir()) == []
    assert [run.family().place for run in run_folder.create_runs(members)] == [0, 1, 2, 3]


def test_newest_first_recorded_last_and_read_only(tmp_path, monkeypatch):
    recorded = tmp_path / "assets" / "recorded"
    monkeypatch.setattr(run_folder, "assets_folder", lambda: tmp_path / "assets")
    assert run_folder.list_runs(include_recorded=True) == []
    for created, name in enumerate(["b", "a", "c"]):
        rewrite_status(run_folder.create_run(PLAN, run_id=name), created=float(created))
    made = run_folder.create_run(PLAN, run_id="demo")
    made.write_status("running")
    made.write_status("done")
    recorded.mkdir(parents=True)
    made.folder.rename(recorded / "demo")
    (recorded / "comparison.json").write_text("{}")
    assert [summary.id for summary in run_folder.list_runs()] == ["c", "a", "b"]
    listed = run_folder.list_runs(include_recorded=True)
    assert [(summary.id, summary.recorded) for summary in listed] == [
        ("c", False),
        ("a", False),
        ("b", False),
        ("demo", True),
    ]
    for opened in (run_folder.open_run("demo"), run_folder.open_run(recorded / "demo")):
        assert opened.recorded
        assert opened.status().state == "done"
        assert opened.plan() == PLAN
        for write in (
            lambda run: run.write_status("running"),
            lambda run: run.append_event({}),
            lambda run: run.write_results(RunResults()),
            lambda run: run.request_stop(),
            lambda run: run.record_process(os.getpid()),
            lambda run: run.delete(),
        ):
            with pytest.raises(StoreError, match="is recorded and read-only"):
                write(opened)
    with pytest.raises(StoreError, match="a run 'demo' already"):
        run_folder.create_run(PLAN, run_id="demo")


@pytest.mark.parametrize("left", [b"", bytes(400), b'{"kind": "transfer", "sta'], ids=["nothing", "zeros", "half"])
def test_a_status_that_a_power_cut_took_is_of_a_run_that_can_go_on(left):
    run = run_folder.create_run(PLAN, run_id="cut")
    run.write_status("running", step=3, total_steps=9)
    run.write_status("failed", message="The disk is full.")
    (run.folder / "status.json").write_bytes(left)
    (summary,) = run_folder.list_runs()
    assert (summary.state, run.status().state) == ("lost", "lost")
    assert "power cut" in summary.message
    assert "--resume cut" in summary.message
    assert run.write_status("running", step=4, total_steps=9).state == "running"
    (run.folder / "status.json").write_text('{"state": "dancing"}')  # whole, and no status: that is damage
    with pytest.raises(StoreError, match="damaged"):
        run.status()


def test_a_step_that_was_told_twice_counts_once():
    run = run_folder.create_run(PLAN, run_id="twice")
    run.write_status("running")
    for step in (1, 2, 3):
        run.append_event({"kind": "step", "step": step})
    told = (run.folder / "events.jsonl").read_bytes()
    (run.folder / "events.jsonl").write_bytes(told + told)
    assert [event["step"] for event in run.events()] == [1, 2, 3]
