"""The engine behind the pages: a process of its own that answers, fails in a sentence, and can be ended."""

from __future__ import annotations

import time

import pytest

from dashboard.engine.client import Engine, Task


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.release()


def over(task: Task, seconds: float = 120) -> Task:
    end = time.monotonic() + seconds
    while not task.over and time.monotonic() < end:
        time.sleep(0.05)
    assert task.over
    return task


def test_equal_requests_are_asked_once_and_a_mistake_is_a_sentence(engine, tmp_path):
    request = {"pair": "custom", "teacher": str(tmp_path), "student": str(tmp_path), "prompts": "facts"}
    task = over(engine.ask("compare", request))
    assert engine.ask("compare", dict(reversed(request.items()))) is task
    assert engine.known("compare", request) is task
    assert engine.known("compare", {**request, "seed": 1}) is None
    assert (task.status, task.fault) == ("failed", False)
    assert "no Hugging Face model folder" in task.error
    assert engine.ask("compare", request, again=True) is not task


def test_a_fault_of_ours_is_marked_and_the_engine_lives_on(engine):
    first = over(engine.ask("nonsense", {"pair": "custom", "teacher": "", "student": ""}))
    assert (first.status, first.fault) == ("failed", True)
    assert over(engine.ask("compare", {"pair": "custom", "teacher": "", "student": ""})).fault is False


def test_ending_the_engine_ends_the_work_and_the_next_request_starts_it_again(engine):
    task = engine.ask("compare", {"pair": "nobody"})
    while task.status == "waiting":
        time.sleep(0.01)
    engine.release()
    assert "was ended" in over(task).error
    assert "no pair" in over(engine.ask("compare", {"pair": "nobody", "seed": 1})).error


def test_a_stopped_computation_keeps_the_rows_it_told(engine):
    """The prompts of a recorded run's pair, written after one batch at a time."""
    request = {"run": "demo-semalign-v1", "prompts": "general", "ids": [], "new_tokens": 200}
    task = engine.ask("writing", request)
    waits = engine.ask("compare", {"pair": "nobody"})
    engine.stop(waits)
    assert (waits.status, task.over) == ("failed", False)
    end = time.monotonic() + 120
    while not task.rows and not task.over and time.monotonic() < end:
        time.sleep(0.05)
    assert task.rows
    engine.stop(task)
    assert "was ended" in over(task).error
    assert task.result is None
    assert 0 < len(task.rows) < 64
    assert set(task.rows[0]) == {"id", "text", "teacher", "before", "after"}
