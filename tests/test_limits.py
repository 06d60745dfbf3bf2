"""What a visitor may do: paths that leave the allowed folders, and what a public demo locks; with and without each lock."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from test_dashboard import ROOT, answers, page  # noqa: F401 - answers replaces the engine
from typer.testing import CliRunner

from dashboard import limits, loaders, plan_form, transfers
from pkt_core import waiting
from pkt_core.cli import app as commands
from pkt_core.errors import PlanError

pytestmark = pytest.mark.filterwarnings("default")
UNAVAILABLE = loaders.unavailable  # before a test stands something else in for it


@pytest.fixture
def locked(monkeypatch, tmp_path):
    """Only one folder is allowed; there is another one beside it."""
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    for folder in (allowed, outside):
        folder.mkdir()
        (folder / "mine.txt").write_text("\n".join(f"prompt {i}" for i in range(80)))
    monkeypatch.setenv("PKT_FOLDERS", str(allowed))
    return SimpleNamespace(allowed=allowed, outside=outside)


@pytest.mark.parametrize("field", ["teacher", "student", "prompts", "data", "general", "tasks"])
def test_a_path_outside_is_refused_in_every_field_and_one_inside_is_not(locked, field):
    limits.require_allowed({field: str(locked.allowed / "mine.txt")})
    for bad in (locked.outside / "mine.txt", locked.allowed / ".." / "outside" / "mine.txt"):
        with pytest.raises(
            PlanError, match="outside the folders that this app may read. Start it with `pkt app --allow"
        ):
            limits.require_allowed({"plan": {field: [str(bad)]}})


def test_a_link_that_leads_out_is_followed_before_it_is_judged(locked):
    (locked.allowed / "door").symlink_to(locked.outside)
    with pytest.raises(PlanError):
        limits.require_allowed({"teacher": str(locked.allowed / "door")})


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize(
    "name", ["Qwen/Qwen2.5-0.5B", "demo:teacher", "facts", "hf:stanfordnlp/sst2,split=test", "demo/unknown-seen", ""]
)
def test_hub_ids_and_bundled_names_are_no_paths(name):
    limits.require_allowed({"teacher": name, "prompts": name, "data": name})


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "~/secret.txt", "../../x", "hf:../x", "hf:/etc,split=test", "a/b/c/d", "\\\\host\\share"]
)
def test_what_a_person_would_take_for_a_path_is_one(name):
    with pytest.raises(PlanError, match="outside the folders"):
        limits.require_allowed({"prompts": name})


@pytest.mark.usefixtures("locked")
def test_texts_that_are_no_names_are_left_alone():
    limits.require_allowed({"text": "/etc/passwd", "lines": "/etc/passwd\n~/.ssh", "labels": ["/etc"]})


def test_pages_say_it_in_one_sentence_and_read_nothing(locked):
    outside = str(locked.outside)
    assert "outside the folders" in str(UNAVAILABLE("custom", outside, "demo:student"))
    path = str(locked.outside / "mine.txt")
    assert loaders.file_as_it_is(path) == path  # not kept: its content never reaches the cache
    assert loaders.prompt_facts(path) is None
    assert loaders.prompt_facts(str(locked.allowed / "mine.txt")) == {"n": 80, "labels": []}
    assert loaders.file_as_it_is(str(locked.allowed / "mine.txt")) != str(locked.allowed / "mine.txt")
    app = page("pair", pair="custom", teacher=outside, student="demo:student")
    assert not app.exception


def test_the_engine_refuses_too_whoever_asks(locked):
    from dashboard.engine_process import answer

    with pytest.raises(PlanError, match="outside the folders"):
        answer(
            "compare", {"pair": "custom", "teacher": str(locked.outside), "student": "demo:student"}, lambda *_: None
        )


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
