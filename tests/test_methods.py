"""A method is one file: a toy put beside the others is found by everything that names methods, and trains."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import fakes
import pytest
import typer
from pages import page
from trained import plan_for, prepared
from typer.testing import CliRunner

from pkt_core.cli import app
from pkt_core.errors import PlanError
from pkt_core.models.shape import model_shape
from pkt_core.report import citing
from pkt_core.runner import command_for
from pkt_core.runs.folder import open_run
from pkt_core.studies.families.compute import members
from pkt_core.transfer import methods as package
from pkt_core.transfer import plan as plans
from pkt_core.transfer.controls import CONTROLS, control
from pkt_core.transfer.estimate import estimate
from pkt_core.transfer.export import write_card
from pkt_core.transfer.method import methods
from pkt_core.transfer.plan import TransferPlan, users

ROOT = Path(__file__).parents[1]
TOY = '''
"""A toy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pkt_core.transfer.method import Batch, Method, Paper, Terms
from pkt_core.transfer.settings import Adapted, Mapped, Scoped


class ToyPlan(Adapted, Scoped, Mapped):
    """Settings of the toy."""

    method: Literal["toy"] = "toy"
    steps: int = Field(2, ge=1)
    push: float = Field(0.5, ge=0, le=2)
    """How hard the toy pushes."""


def terms(batch: Batch, plan: ToyPlan) -> Terms:
    from pkt_core.transfer.objectives import layer_cosine

    (pair,) = batch.pairs
    return {"push": plan.push * layer_cosine(batch.states[pair.student], batch.target(pair))}


METHOD = Method(
    plan=ToyPlan,
    order=45,
    title="Toy",
    sentence="Toy: the mapped teacher at one layer, and nothing else",
    group="Rival",
    pull="the mapped teacher state",
    source="",
    how="by a toy \\\\cite{toy1999}",
    papers=(Paper("toy1999", "@misc{toy1999, title = {Toys}, author = {Nobody}, year = {1999}}"),),
    terms=terms,
    states=True,
)
'''


def forget_methods():
    for known in (plans.records, plans.kinds, plans.settings):
        known.cache_clear()


@pytest.fixture
def toy(tmp_path, monkeypatch):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "toy.py").write_text(TOY, encoding="utf-8")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "methods")])
    monkeypatch.delitem(sys.modules, "pkt_core.cli.transfers", raising=False)  # its options are those of its import
    forget_methods()
    yield methods()["toy"]
    forget_methods()
    sys.modules.pop(f"{package.__name__}.toy")
    sys.modules.pop("pkt_core.cli.transfers", None)


def demo(**settings) -> TransferPlan:
    sides = {side: {"name": f"demo:{side}"} for side in ("teacher", "student")}
    return TransferPlan.model_validate({**sides, "data": "demo/unknown-seen", **settings})


@pytest.mark.usefixtures("toy")
def test_the_command_line_takes_it_with_its_own_setting():
    command = typer.main.get_command(app).commands["transfer"].loaded()
    options = {name: one for one in command.params for name in one.opts}
    assert "'toy'" in CliRunner().invoke(app, ["transfer", "--method", "magic"]).output
    assert options["--push"].help == "How hard the toy pushes."
    assert "--push 0.25" in command_for(demo(method="toy", push=0.25))


def test_its_plan_has_its_settings_and_no_other_and_others_have_not_its(toy):
    assert list(methods()).index("toy") == list(methods()).index("logit-kd") - 1
    assert toy.own_settings == ["push"]
    plan = demo(method="toy")
    assert (plan.steps, plan.push, plan.map) == (2, 0.5, "semantic")
    assert not hasattr(plan, "temperature")
    assert TransferPlan.model_validate(json.loads(plan.model_dump_json())) == plan
    for wrong, sentence in (
        (
            {"method": "toy", "temperature": 2.0},
            "Got temperature 2.0 with toy, which does not use it. Remove it, or use",
        ),
        ({"method": "sft", "push": 1.0}, "Got push 1.0 with sft, which does not use it. Remove it, or use toy."),
    ):
        with pytest.raises(PlanError, match=re.escape(sentence)):
            demo(**wrong)
    assert users("push") == ("toy",)


@pytest.mark.usefixtures("toy", "answers")
def test_the_form_offers_it_and_its_own_setting():
    app = page("transfer", method="toy", push="1.5")
    assert not app.exception
    assert "Toy: the mapped teacher at one layer" in " ".join(one.value for one in app.markdown).replace("\\", "")
    assert app.number_input(key="push").value == 1.5
    assert (app.number_input(key="push").min, app.number_input(key="push").max) == (0, 2)
    assert "temp" not in {one.key for one in app.number_input}
    assert "--push 1.5" in " ".join(one.value for one in app.code)


@pytest.mark.usefixtures("toy")
def test_a_family_takes_it_as_rival_and_its_controls_follow_from_what_it_uses():
    rival = members(demo(method="semalign-v1", map="procrustes"), rivals=["toy"], controls=(), seeds=1)[1]
    assert (rival.label, rival.plan.method, rival.plan.map) == ("toy", "toy", "procrustes")
    assert [name for name in CONTROLS if control(demo(method="toy"), name)] == [
        "permuted vocabulary",
        "random bases",
        "shuffled teacher rows",
        "untrained teacher",
        "random pair of layers",
        "reversed pairing",
        "equal-compute fine-tuning",
    ]


@pytest.mark.usefixtures("toy")
def test_report_card_and_estimate_know_it(tmp_path):
    run = open_run("demo-semalign-v1")
    plan = {**run.plan(), "method": "toy"}
    assert "by a toy \\cite{toy1999}" in citing.paragraph(plan, run.results())
    assert "@misc{toy1999" in citing.bibtex(plan)
    write_card(tmp_path, demo(method="toy"), run.results())
    card = (tmp_path / "README.md").read_text()
    assert "Toy: the mapped teacher at one layer, and nothing else." in card
    assert "| site, map, positions |" in card
    shapes = [model_shape(getattr(demo(), side)) for side in ("teacher", "student")]
    needed, known = (
        estimate(demo(method=method), *shapes, n_examples=10, n_tokens=20, n_rows=3)
        for method in ("toy", "semalign-v1")
    )
    assert needed == known  # the same blocks train towards the same rows


def test_it_trains(toy, tmp_path):
    teacher, student = (fakes.loaded(tmp_path / side, layers=layers) for side, layers in (("t", 4), ("s", 3)))
    plan = plan_for(teacher, student, method="toy", learning_rate=1e-2, steps=2)
    reports = list(prepared(teacher, student, plan)[2].steps())
    assert [report.step for report in reports] == [1, 2]
    assert set(reports[0].terms) == {"push", "cross_entropy"}
    assert reports[1].terms["push"] < reports[0].terms["push"]
    assert toy.states


def test_the_tables_of_the_documentation_are_the_records():
    table = (ROOT / "assets" / "REFERENCE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (yes|no) \| (.*?) \| ?(.*?) ?\|$", table, re.MULTILINE)
    told = [(m.name, "yes" if m.labels else "no", m.pull, m.source) for m in methods().values()]
    assert sorted(rows) == sorted(told)
    assert set(methods()) >= set(re.findall(r"--(?:method|rival) ([\w-]+)", table + (ROOT / "README.md").read_text()))


def test_records_are_whole():
    for method in methods().values():
        assert set(re.findall(r"\\cite\{(\w+)\}", method.how)) == {paper.key for paper in method.papers}
        assert not method.sentence.endswith(".")
        assert method.logits == ("temperature" in method.plan.model_fields)
        for name, field in method.plan.model_fields.items():
            assert field.description or name in NAMED_BY_THEMSELVES, (method.name, name)


NAMED_BY_THEMSELVES = ("teacher", "student", "lora_rank", "seed", "steps", "batch_size", "learning_rate")


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_the_program_says_what_it_can_do_without_loading_it(words):
    code = (
        "import sys; from pkt_core.cli import app\n"
        f"try: app({words!r})\nexcept SystemExit: pass\n"
        "heavy = ('pydantic', 'torch', 'transformers', 'numpy', 'pandas', 'plotly', 'scipy')\n"
        "print([m for m in sys.modules if m in heavy or m.startswith('pkt_core.cli.')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip().splitlines()[-1] == "[]"


def test_every_command_is_in_the_module_that_has_it_and_has_a_sentence():
    commands = typer.main.get_command(app).commands
    assert {"pairs", "compare", "transfer", "family", "runs", "report", "benchmark", "app"} <= set(commands)
    for name, command in commands.items():
        loaded = command.loaded()
        assert loaded.name == name
        assert loaded.help


def test_the_form_and_the_records_load_no_torch():
    code = (
        "import sys; import dashboard.views.transfer.plan_form; from pkt_core.transfer.method import methods; methods()\n"
        "print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip().splitlines()[-1] == "[]"
