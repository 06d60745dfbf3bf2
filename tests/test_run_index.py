"""The index of runs: a list of hundreds opens next to no file, and is never wrong, whatever becomes of the index."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from run_store import fill
from typer.testing import CliRunner

from pkt_core.runs import folder as run_folder
from pkt_core.runs import index as runs_index
from pkt_core.runs.files import Family

MANY = 150
_opened: list[str] | None = None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str):
        _opened.append(arguments[0])


sys.addaudithook(_hear)  # cannot be taken off again, so it only listens inside `opened`


def opened(work: Callable[[], Any]) -> int:
    """How many files of runs a piece of work opened."""
    global _opened
    _opened = []
    try:
        work()
        return sum(str(run_folder.runs_root()) in path and path.endswith(".json") for path in _opened)
    finally:
        _opened = None


@pytest.fixture
def store(monkeypatch, tmp_path) -> list[str]:
    """Many runs that another process has listed before."""
    monkeypatch.setattr(run_folder, "recorded_root", lambda: tmp_path / "recorded")
    made = fill(MANY, family_of=30)
    run_folder.list_runs()
    run_folder._over.clear()
    return made


def states() -> dict[str, str]:
    run_folder._over.clear()  # as another process would
    return {run.id: run.state for run in run_folder.list_runs()}


def test_a_new_process_opens_no_run_that_is_in_the_index_and_says_the_same(store):
    from_folders = opened(lambda: (run_index_lost(), run_folder.list_runs()))
    assert from_folders >= 3 * MANY
    read = run_folder.list_runs()
    run_folder._over.clear()
    assert opened(run_folder.list_runs) == 0
    assert run_folder.list_runs() == read
    assert [run.id for run in read] == store[::-1]
    assert read[0].family == Family(family="family-004", label="shuffled teacher rows", place=29)


def run_index_lost() -> None:
    run_folder._over.clear()
    (run_folder.runs_root() / runs_index.NAME).unlink()


def test_what_changed_is_read_again_and_nothing_else(store):
    first, second, third = store[:3]
    run = run_folder.open_run(first)
    run.write_status("running")
    run.write_status("failed", message="Out of memory.")
    (run_folder.runs_root() / second / "plan.json").write_text("{")  # in place, as an editor might
    run_folder.open_run(third).delete()
    run_folder._over.clear()
    assert opened(lambda: states()) <= 8
    found = states()
    assert found[first] == "failed"
    assert found[second] == "damaged"
    assert third not in found
    assert len(found) == MANY - 1


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("harm", ["lost", "no database", "torn", "a folder", "of another version"])
def test_an_index_that_is_lost_or_damaged_costs_nothing_but_time(harm):
    before, path = states(), run_folder.runs_root() / runs_index.NAME
    assert set(before.values()) == {"done"}
    if harm == "of another version":
        with sqlite3.connect(path) as index:
            index.execute("DROP TABLE lines")
            index.execute("CREATE TABLE lines (other TEXT)")
        index.close()
    else:
        whole = path.read_bytes()
        path.unlink()
        if harm == "no database":
            path.write_bytes(b"not an index" * 1000)
        elif harm == "torn":
            path.write_bytes(whole[: len(whole) // 2])
        elif harm == "a folder":
            path.mkdir()
    assert states() == before
    assert states() == before
    if harm != "a folder":
        run_folder._over.clear()
        assert opened(run_folder.list_runs) == 0, "it was written again"


@pytest.mark.usefixtures("store")
def test_a_flipped_bit_becomes_no_wrong_line():
    path, before = run_folder.runs_root() / runs_index.NAME, run_folder.list_runs()
    data = path.read_bytes()
    at = data.index(b'"state": "done"') + len(b'"state": "d')
    path.write_bytes(data[:at] + b"0" + data[at + 1 :])
    run_folder._over.clear()
    assert run_folder.list_runs() == before


@pytest.mark.usefixtures("store")
def test_a_process_that_holds_the_index_holds_up_nobody():
    holder = sqlite3.connect(run_folder.runs_root() / runs_index.NAME)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert set(states().values()) == {"done"}
    finally:
        holder.close()


@pytest.mark.usefixtures("store")
def test_processes_that_list_at_once_all_see_all():
    (run_folder.runs_root() / runs_index.NAME).unlink()
    code = "from pkt_core.runs import folder as runs; print(len(runs.list_runs()), len({run.id for run in runs.list_runs()}))"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ) for _ in range(4)
    ]  # fmt: skip
    assert [process.communicate()[0].split() for process in started] == [[str(MANY)] * 2] * 4
    assert len(runs_index.known(run_folder.runs_root())) == MANY


def test_a_run_whose_process_is_gone_is_not_taken_for_running_nor_the_other_way(store):
    run = run_folder.open_run(store[0])
    run.write_status("running")  # by this process, which lives
    assert states()[run.id] == "running"
    status = json.loads((run.folder / "status.json").read_text())
    status["process"]["created"] -= 10_000
    (run.folder / "status.json").write_text(json.dumps(status))
    assert states()[run.id] == "lost"
    assert states()[run.id] == "lost"


def test_few_runs_need_no_index(monkeypatch, tmp_path):
    monkeypatch.setattr(run_folder, "recorded_root", lambda: tmp_path / "recorded")
    fill(3)
    assert len(run_folder.list_runs()) == 3
    assert not (run_folder.runs_root() / runs_index.NAME).exists()


@pytest.mark.usefixtures("store")
def test_the_terminal_shows_the_newest_and_says_so():
    from pkt_core.cli import app

    asked = CliRunner().invoke(app, ["runs"])
    assert "100 of 150 runs, newest first" in asked.output
    assert "made-00149" in asked.output
    assert "made-00000" not in asked.output
    assert "made-00000" in CliRunner().invoke(app, ["runs", "--all"]).output
    assert len(json.loads(CliRunner().invoke(app, ["runs", "--json", "-"]).stdout)) == MANY
