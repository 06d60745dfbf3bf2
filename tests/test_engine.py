"""The engine behind the pages: a process of its own that answers, fails in a sentence, and can be ended."""

from __future__ import annotations

import ast
import inspect
import time
from pathlib import Path

import pytest

from dashboard.engine import registry, worker
from dashboard.engine.client import Engine, Task
from pkt_core.base.progress import silent
from pkt_core.errors import StoreError


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
    assert "not a Hugging Face model folder" in task.error
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


def asked_by(text: str) -> set[str]:
    """The functions that some code asks the engine for, by name."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    asks = [c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr in ("ask", "known") and c.args]
    return {c.args[0].value for c in asks if isinstance(c.args[0], ast.Constant) and isinstance(c.args[0].value, str)}


def test_every_function_that_a_page_asks_for_is_there_with_its_subject_first():
    assert asked_by('loaders.ask("telepathy", {})') - set(registry.FUNCTIONS) == {"telepathy"}
    pages = Path(worker.__file__).parents[1].rglob("*.py")
    asked = set().union(*(asked_by(path.read_text(encoding="utf-8")) for path in pages))
    assert "closer_look" in asked
    assert asked <= set(registry.FUNCTIONS)
    assert set(registry.RECORDS) <= set(registry.FUNCTIONS)
    for name, function in registry.FUNCTIONS.items():
        takes = list(inspect.signature(registry.resolved(function.place)).parameters.values())
        keyword = [one.name for one in takes[function.subject != "none" :]]
        assert function.subject in ("none", takes[0].name if takes else ""), name
        assert not set(function.renewed_by) & set(keyword), name
    for record in registry.RECORDS.values():
        registry.resolved(record)


def test_a_request_is_answered_by_the_function_it_names_and_models_go_only_for_those_that_load_some(monkeypatch):
    cleared = []
    monkeypatch.setattr(worker.pool(), "clear", lambda: cleared.append(True))
    assert worker.answer("run_controls", {"run": "demo-semalign-v1", "finished": 1.0, "others": 2}, silent)["controls"]
    assert worker.answer("benchmark_sandbox", {}, silent)["why"]
    assert not cleared
    with pytest.raises(StoreError, match="keeps no trained student"):
        worker.answer("user_task", {"run": "demo-sft", "task": "demo/known-seen"}, silent)
    assert cleared
    with pytest.raises(KeyError):
        worker.answer("telepathy", {}, silent)
