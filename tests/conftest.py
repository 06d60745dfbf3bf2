"""Shared by all tests: a cache of their own, so that no test reads or writes the real one, and the fixtures of more than one file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest_plugins = ["browsing"]
pytest.register_assert_rewrite("pages", "commands", "made_runs", "trained")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands in for the user's cache; does not exist yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PKT_CACHE", str(folder))
    monkeypatch.setenv("PKT_FOLDERS", str(tmp_path.parent.parent))  # what tests make may be named on pages
    return folder


@pytest.fixture
def walls() -> None:
    """For tests that run code of a model: Bubblewrap has to be there; a kernel that lets it build nothing is a reason to skip."""
    from pkt_core.benchmarks.sandbox import unavailable

    assert shutil.which("bwrap"), (
        "install bubblewrap (apt install bubblewrap); these tests may not be skipped for want of it"
    )
    if (why := unavailable()) is not None:
        pytest.skip(f"Bubblewrap is here, but this kernel lets it build no walls: {why}")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with two tiny models and the files that a command about them names."""
    from commands import write_models

    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@pytest.fixture
def answers(monkeypatch, tmp_path):
    """Stands in for the engine of the dashboard: no process is started, no recorded run exists, and caches are empty."""
    from pages import Answers

    from dashboard import loaders, recorded
    from dashboard.engine.client import Engine
    from pkt_core.runs import folder as run_folder

    found = Answers()
    monkeypatch.setattr(Engine, "ask", lambda *a, **k: found.ask(*a, **k))
    monkeypatch.setattr(Engine, "known", lambda *a: found.ask(*a))
    monkeypatch.setattr(Engine, "warm", lambda _self: None)
    monkeypatch.setattr(recorded, "comparison", lambda: None)
    monkeypatch.setattr(run_folder, "recorded_root", lambda: tmp_path / "recorded")
    monkeypatch.setattr(loaders, "unavailable", lambda *_: None)
    return found


@pytest.fixture
def worked(monkeypatch) -> list[list[str]]:
    """No worker of the queue is started; what waited when one would have been."""
    from pkt_core.runs import queue as run_queue

    found: list[list[str]] = []
    monkeypatch.setattr("dashboard.jobs.work", lambda: found.append(run_queue.waiting()))
    return found
