"""What was finished before a stop, a kill or a damage is not done again: a trained student is measured, never trained twice."""

from __future__ import annotations

import pytest
from commands import run, work

from pkt_core import pipeline
from pkt_core.evaluation import behaviour
from pkt_core.runs.folder import list_runs, open_run
from pkt_core.studies.behaviour import compute as behaviour_compute
from pkt_core.transfer.checkpoint import Checkpoints


@pytest.fixture
def stopped_while_measured(capsys, models, monkeypatch):
    """A run that was asked to stop while its first task was asked."""
    real = behaviour.answered_right

    def asked(*given, **more):
        open_run(list_runs()[0].id).request_stop()
        return real(*given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(behaviour_compute, "answered_right", asked)
        status, _, err = run(capsys, "transfer", *work(models), "--method", "sft")
    assert status == 0, err
    return open_run(list_runs()[0].id)


def never(*_args, **_more):
    raise AssertionError("trained a second time")


def test_a_stop_while_behaviour_is_measured_keeps_the_student_and_going_on_measures_only(
    capsys, monkeypatch, stopped_while_measured
):
    made = stopped_while_measured
    status, results = made.status(), made.results()
    assert status.state == "stopped"
    assert "while its behaviour was measured; the trained student is kept" in status.message
    assert results.steps == results.planned_steps == 4
    assert results.behaviour is None
    weights = (made.folder / "student" / "model.safetensors").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "train", never)
        code, _, err = run(capsys, "transfer", "--resume", made.id)
        assert code == 0, err
    assert made.status().state == "done"
    assert len(list(made.results().behaviour.by_model())) == 3
    assert (made.folder / "student" / "model.safetensors").read_bytes() == weights
    assert len(made.events()) == 4
    code, _, err = run(capsys, "transfer", "--resume", made.id)
    assert (code, "is finished and measured" in err) == (1, True)
    assert made.status().state == "done"


def test_a_student_with_another_byte_is_refused_and_trained_again(capsys, stopped_while_measured):
    made = stopped_while_measured
    path = made.folder / "student" / "model.safetensors"
    whole = path.read_bytes()
    for place in (3, len(whole) // 2, len(whole) - 1):  # length of the header, header or body, body
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        code, _, err = run(capsys, "evaluate", made.id)
        assert code == 1
        assert "The trained student is damaged" in err
        assert err.count("\n") == 1
    code, _, err = run(capsys, "transfer", "--resume", made.id)
    assert code == 0, err
    assert path.read_bytes() == whole
    assert made.results().behaviour is not None


def test_a_stop_while_the_teacher_speaks_ends_before_the_first_step(capsys, models, monkeypatch, cache):
    from pkt_core.transfer import targets

    real = targets.teacher_rows

    def speaks(*given):
        open_run(list_runs()[0].id).request_stop()
        return real(*given)

    monkeypatch.setattr(targets, "teacher_rows", speaks)
    code, _, err = run(capsys, "transfer", *work(models))
    assert code == 0, err
    made = open_run(list_runs()[0].id)
    assert made.status().state == "stopped"
    assert "before training continued" in made.status().message
    assert made.results() is None
    assert Checkpoints(made.folder / "checkpoints").load() is None
    assert not [path for path in (cache / "artefacts").iterdir() if path.name.startswith(".")]
