"""What a visitor may do: paths that leave the allowed folders, and what a public demo locks; with and without each lock."""

from __future__ import annotations

import subprocess
import sys

import pytest
from test_dashboard import ROOT, answers, page  # noqa: F401 - answers replaces the engine
from typer.testing import CliRunner

from dashboard import limits, loaders, plan_form, transfers
from pkt_core import waiting
from pkt_core.cli import app as commands
from pkt_core.errors import PlanError

pytestmark = pytest.mark.filterwarnings("default")


def a_plan(**more):
    return plan_form.bare("semalign-v1", **more).model_copy(update={"data": "demo/unknown-seen"})


def test_a_demo_locks_models_prompts_lengths_and_jobs_and_without_it_nothing_is_locked(monkeypatch):
    monkeypatch.setattr("dashboard.jobs.work", lambda: None)
    free = page("transfer")
    assert "custom" in free.selectbox(key="pair").options
    assert {"file", "dataset"} <= set(free.selectbox(key="prompts").options)
    transfers.launch(a_plan(steps=301))
    monkeypatch.setenv("PKT_DEMO", "1")
    loaders.pair_names.clear()
    try:
        app = page("transfer", pair="custom", steps="5000")
        assert not app.exception
        assert app.selectbox(key="pair").options == ["demo"]
        assert not {"file", "dataset"} & set(app.selectbox(key="prompts").options)
        assert app.number_input(key="steps").max == limits.MOST_STEPS
        with pytest.raises(PlanError, match="at most 300. Lower the steps"):
            transfers.launch(a_plan(steps=301))
        with pytest.raises(PlanError, match="no families"):
            transfers.launch_family([], "semalign-v1")
        transfers.launch(a_plan(steps=300))
        assert len(waiting.waiting()) == limits.MOST_WAITING
        with pytest.raises(PlanError, match="2 runs wait already"):
            transfers.launch(a_plan(steps=300))
        assert limits.folders() == [(ROOT / "assets").resolve(), limits.cache_root().resolve()]
    finally:
        loaders.pair_names.clear()


def test_the_command_hands_its_locks_to_the_app(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(subprocess, "call", lambda words, env: seen.update(env=env, words=words) or 0)
    CliRunner().invoke(commands, ["app", "--headless", "--demo", "--allow", str(tmp_path)])
    assert seen["env"]["PKT_DEMO"] == "1"
    assert seen["env"]["PKT_FOLDERS"] == str(tmp_path.resolve())
    assert seen["words"][:4] == [sys.executable, "-m", "streamlit", "run"]
    CliRunner().invoke(commands, ["app", "--headless"])
    assert "PKT_DEMO" not in seen["env"]
