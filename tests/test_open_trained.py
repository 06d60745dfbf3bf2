"""The one way to a run's trained student: every study that asks for it gets the same sentence, and what was stored before is found."""

import fakes
import pytest

from pkt_core.base import store
from pkt_core.base.sealed import file_digest
from pkt_core.benchmarks.board import subjects_of
from pkt_core.data.prompts import pasted
from pkt_core.errors import StoreError
from pkt_core.models.catalog import custom_pair, demo_pair
from pkt_core.pipeline import evaluate
from pkt_core.runs.folder import create_run, open_run
from pkt_core.runs.results import RunResults, StudentFile, TaughtLayers, TaughtPair
from pkt_core.runs.student import open_trained
from pkt_core.studies.behaviour.user_task import user_task
from pkt_core.studies.comparison.change import similarity_change
from pkt_core.studies.generations.compute import writing
from pkt_core.studies.generations.picked import picked_continuations
from pkt_core.studies.inspection.compute import inspect_token
from pkt_core.studies.latent_map.compute import chain_map
from pkt_core.studies.token_change.compute import token_change

LINES = pasted("\n".join(f"the quick brown fox number {i} jumps over the dog" for i in range(80)))
OF_RUN = {
    "similarity_change": lambda run: similarity_change(run, prompts=LINES),
    "token_change": lambda run: token_change(run, texts="prompts", prompts=LINES),
    "writing": lambda run: writing(run, prompts=LINES),
    "user_task": lambda run: user_task(run, task="demo/unknown-seen"),
    "benchmark": subjects_of,
    "evaluate": evaluate,
}
OF_PAIR = {
    "picked_continuations": lambda run, pair: picked_continuations(pair, run=run.id, ids=[1, 2], prompts=LINES),
    "chain_map": lambda run, pair: chain_map(
        pair, kind="run", run=run.id, prompts=LINES, n_prompts=40, teacher_layer=2, student_layer=1
    ),
    "inspect_token": lambda run, pair: inspect_token(pair, text="Paris is a city", run=run.id),
    "benchmark against": lambda run, pair: subjects_of(of(pair, f"beside-{run.id}"), [run]),
}


def of(pair, name, *, student=5, **more):
    """A run of a pair that keeps another random model of the student's shape, unless `student` is None."""
    plan = {side: {"name": getattr(pair, side).name} for side in ("teacher", "student")}
    made = create_run(plan | {"data": "demo/unknown-seen", "method": "sft"} | more, run_id=name)
    exported = {}
    if student is not None:
        fakes.folder(made.folder / "student", seed=student, layers=2)
        exported = {"model.safetensors": StudentFile(**file_digest(made.folder / "student" / "model.safetensors"))}
    layers = TaughtLayers(2, 1, "plan", [TaughtPair(2, 1)])
    made.write_results(RunResults(layers=layers, exported=exported))
    return made


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return fakes.pair(tmp_path_factory.mktemp("models"))


USERS = {**{name: lambda run, _pair, ask=ask: ask(run) for name, ask in OF_RUN.items()}, **OF_PAIR}


@pytest.mark.parametrize("user", USERS)
def test_every_user_tells_the_same_of_a_run_that_cannot_be_opened(pair, user):
    ask = USERS[user]
    with pytest.raises(StoreError, match=r"^Run bare keeps no trained student\. Choose a run that finished here"):
        ask(of(pair, "bare", student=None), pair)
    with pytest.raises(StoreError, match=r"plan\.json is not a valid plan \(future: "):
        ask(of(pair, "newer", future=1), pair)
    torn = of(pair, "torn")
    (torn.folder / "plan.json").write_text('{"method": "sf', encoding="utf-8")
    with pytest.raises(StoreError, match=r"plan\.json is damaged"):
        ask(torn, pair)
    changed = of(pair, "changed")
    open_trained(changed)  # whole, until one byte is another
    weights = changed.folder / "student" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(
        StoreError, match=r"^The trained student is damaged: .*model\.safetensors is not what was written"
    ):
        ask(changed, pair)


@pytest.mark.parametrize("user", OF_PAIR)
@pytest.mark.parametrize("side", ["teacher", "student"])
def test_a_run_of_another_pair_is_told_whichever_model_is_another(pair, tmp_path, user, side):
    fakes.folder(tmp_path / "other", seed=7, layers=2)
    names = {one: getattr(pair, one).name for one in ("teacher", "student")} | {side: str(tmp_path / "other")}
    other = of(custom_pair(names["teacher"], names["student"]), "foreign")
    with pytest.raises(StoreError, match=r"^Run foreign has the teacher .* Choose a run of this pair\.$") as told:
        OF_PAIR[user](other, pair)
    assert all(name in str(told.value) for name in (*names.values(), pair.teacher.name, pair.student.name))


STORED = {
    "similarity_change": ("grid-change", "13d0f6b6e6b3a3787b8d771abe164c2f"),
    "token_change": ("token-change", "0f40c4d0dffc05490668a99cd5f72ad9"),
    "writing": ("writing", "d8558f3de3b9d11a7d6bfe91f24a6a5c"),
    "user_task": ("user-task", "00409b572af66d96c7589e7db182c545"),
    "picked_continuations": ("picked-continuations", "96c7e675a11a5f13533a7cbdc66d5d5e"),
    "chain_map": ("chain-states", "67cad819b8f780ff8b00fe18c060ac94"),
    "inspect_token": ("inspection", "a8d1e338c216b33cfee4dc5cbf3e0a3d"),
}
"""Where results of the recorded run have been stored since they could be."""


class Asked(BaseException):
    """What is looked for in the store."""


@pytest.mark.parametrize("user", STORED)
def test_results_that_are_stored_are_still_found(monkeypatch, user):
    def looked(kind, key):
        raise Asked(kind, key)

    monkeypatch.setattr(store, "artefact_folder", looked)
    with pytest.raises(Asked) as asked:
        USERS[user](open_run("demo-semalign-v1"), demo_pair())
    assert asked.value.args == STORED[user]


def test_benchmarks_that_are_stored_are_still_found():
    before, after, teacher = subjects_of(open_run("demo-semalign-v1"))
    digests = {"before": "d89711fe9d47e815", "after": "b731b9d38310ce9b", "teacher": "469a8a9c5fdab923"}
    assert {one.who.role: one.digest for one in (before, after, teacher)} == digests
