"""The foot of the bar: memory, computations, runs at work with time left, the queue, and a notice when a run ends."""

from __future__ import annotations

import os
import stat

import pytest
from pages import page, words
from streamlit.testing.v1 import AppTest

from dashboard import device, loaders
from dashboard.engine.client import Engine, Task
from pkt_core.runs import folder as run_folder
from pkt_core.runs import queue as run_queue

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]


def a_run(run_id: str):
    return run_folder.create_run({"method": "semalign-v1", "steps": 20, "seed": 0}, run_id=run_id)


def progress(app: AppTest) -> list[str]:
    return [one.proto.text for one in app.get("progress")]


def test_memory_is_always_there_and_an_idle_machine_says_so():
    app = page("alignment")
    assert any("CPU memory" in text for text in progress(app))
    assert "No transfer is running" in words(app)


def test_runs_at_work_and_waiting_are_on_every_page_and_one_that_ends_is_told_once():
    first, second = a_run("one"), a_run("two")
    run_queue.enqueue(["two"])
    first.write_status("running", fraction=0.4, message="Training")
    app = page("pair")
    assert any("semalign\\-v1 Training" in text for text in progress(app))
    assert "1 run waiting in the queue" in words(app)
    assert not app.toast
    first.write_status("done", message="Done.")
    app.run()
    assert len(app.toast) == 1
    assert "done" in app.toast[0].value
    app.run()
    assert not app.toast
    assert second.status().state == "queued"


def test_what_the_engine_computes_is_shown_and_warming_is_not(monkeypatch):
    engine = Engine()
    states = (("compare", "working"), ("stitching", "done"), ("warm_projection", "working"), ("grid", "waiting"))
    for name, status in states:
        engine.tasks[name] = Task(name, {}, status=status, stage=f"stage of {name}")
    assert [task.function for task in engine.at_work()] == ["compare", "grid"]
    monkeypatch.setattr(loaders, "engine", lambda: engine)
    app = page("runs")
    assert [text for text in progress(app) if "stage of" in text] == ["stage of compare"]
    assert "1 computation waiting" in words(app)


def test_graphics_cards_are_asked_of_the_driver(monkeypatch, tmp_path):
    def driver(text: str, status: int = 0) -> None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\nprintf '{text}'\nexit {status}\n")
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
        device.cards.clear()

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    driver("NVIDIA H100, 80GB, 2048, 81920\\n")
    assert device.cards() == [("NVIDIA H100, 80GB", 2.0, 80.0)]
    driver("no driver", 9)
    assert device.cards() == []
    driver("garbled\\n")
    assert device.cards() == []
