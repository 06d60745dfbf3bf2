"""What strangers may do in a public demo: each abuse refused in one sentence where it would be carried out, beside what is allowed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from pages import PAGES, ROOT, page
from typer.testing import CliRunner

from dashboard import access, jobs, limits, loaders, run_actions, state
from dashboard.engine.client import Engine, Task
from dashboard.engine.worker import answer
from dashboard.views.benchmarks import form as benchmarks_form
from dashboard.views.transfer import plan_form
from dashboard.views.transfer import queue as transfer_queue
from pkt_core.benchmarks.tasks import Asking
from pkt_core.cli import app as commands
from pkt_core.errors import PktError
from pkt_core.runs import queue as run_queue
from pkt_core.runs.folder import Run, open_run

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]
UNAVAILABLE, ASK = loaders.unavailable.__wrapped__, Engine.ask  # before a test stands others in for them


def a_plan(**more):
    return plan_form.bare("semalign-v1", **more).model_copy(update={"data": "demo/unknown-seen"})


class Visitor:
    """Who asks at the moment."""

    now = "me"


@pytest.fixture
def demo(monkeypatch):
    """A public demo with two visitors; nothing is started, what would be is noted."""
    started: list[Any] = []
    monkeypatch.setenv("PKT_DEMO", "1")
    monkeypatch.setattr(limits, "visitor", lambda: Visitor.now)
    monkeypatch.setattr(limits, "_uploads", limits.defaultdict(int))
    monkeypatch.setattr(jobs, "_end", lambda *_: None)  # the runs here are written by this very process
    monkeypatch.setattr(jobs, "work", lambda: started.append("work"))
    monkeypatch.setattr(
        run_queue,
        "start",
        lambda words, _log, **_more: started.append(words) or SimpleNamespace(pid=1, wait=lambda: None),
    )
    monkeypatch.setattr(Run, "record_process", lambda *_: None)
    Visitor.now = "me"
    loaders.pair_names.clear()
    yield started
    loaders.pair_names.clear()


def by(visitor: str, what: Callable[[], Any]) -> Any:
    """What comes of something that a visitor does."""
    Visitor.now = visitor
    try:
        return what()
    finally:
        Visitor.now = "me"


def asks(_function: str, **arguments: Any) -> Callable[[], Any]:
    """A request as it reaches the engine's process; what is behind its checks is not carried out."""
    return lambda: (access.require_allowed(arguments), limits.require_modest(arguments))


def at_the_engine(function: str, **arguments: Any) -> Callable[[], Any]:
    """The same, answered by the engine."""
    return lambda: answer(function, dict(arguments), lambda *_: None)


def theirs(state_of_it: str = "queued") -> str:
    """A run of somebody else."""
    made = by("them", lambda: run_actions.launch(a_plan()))
    if state_of_it != "queued":
        run_queue.remove(made)
        open_run(made).write_status(state_of_it)
    return made


def mine(state_of_it: str = "queued") -> str:
    """A run of one's own."""
    made = run_actions.launch(a_plan())
    if state_of_it != "queued":
        run_queue.remove(made)
        open_run(made).write_status(state_of_it)
    return made


def change(what: str, run_id: str) -> None:
    """A click in the queue; what it was told is raised."""
    transfer_queue.change(what, [run_id])
    if sentence := state.told(transfer_queue.PLACE):
        raise PktError(sentence)


def out_of_the_queue(run_id: str) -> str:
    run_queue.remove(run_id)
    return run_id


def full() -> None:
    """As many runs wait as may."""
    for _ in range(limits.MOST_WAITING):
        theirs()


def crowd(visitor: str, n: int) -> Engine:
    """An engine that works on that many requests of somebody's."""
    engine = Engine.__new__(Engine)
    engine.tasks, engine.lock, engine.lanes = OrderedDict(), limits.threading.Lock(), {}
    for i in range(n):
        engine.tasks[str(i)] = Task("compare", {"seed": i}, status="working", asked_by={visitor})
    engine.lanes = dict.fromkeys(
        ("quick", "slow"),
        SimpleNamespace(add=lambda _: None, lock=limits.threading.Lock(), queue=[], current=None, end=lambda: None),
    )
    return engine


def refusal(task: Task) -> None:
    if task.error:
        raise PktError(task.error)


def keep(kind: Callable[[str, bytes], tuple[str | None, str]], data: bytes, name: str = "mine.jsonl") -> str | None:
    """An upload; what is wrong with it is raised."""
    kept, sentence = kind(name, data)
    if sentence:
        raise PktError(sentence)
    return kept


def rows(n: int, salt: str = "") -> bytes:
    return "".join(
        json.dumps({"text": f"prompt {salt}{i}", "prompt": f"The {salt}{i} is", "answer": " it."}) + "\n"
        for i in range(n)
    ).encode()


def uploads(n: int) -> None:
    for i in range(n):
        keep(loaders.keep_task, rows(2, f"{Visitor.now}-{i}-"))


def benchmark() -> None:
    benchmarks_form.start("nobody", [], ["demo/known-seen"], Asking())
    if sentence := state.told(benchmarks_form.PLACE):
        raise PktError(sentence)


def plan(**more: Any) -> dict[str, Any]:
    return {**a_plan().model_dump(mode="json"), **more}


def launched(**more: Any) -> Callable[[], Any]:
    return lambda: run_actions.launch(a_plan().model_copy(update=more))


HUB = {"name": "Qwen/Qwen2.5-0.5B"}
ABUSES: dict[str, tuple[Callable[[], Any], str]] = {
    "resume somebody's run": (lambda: run_actions.resume(theirs("stopped")), "started in another session"),
    "resume when the queue is full": (
        lambda: (run := mine("stopped"), full(), run_actions.resume(run)),
        "runs are already waiting",
    ),
    "requeue past the limit": (
        lambda: (run := out_of_the_queue(mine()), full(), run_actions.requeue(run)),
        "runs are already waiting",
    ),
    "requeue somebody's run": (lambda: run_actions.requeue(out_of_the_queue(theirs())), "started in another session"),
    "launch past the limit": (lambda: (full(), run_actions.launch(a_plan())), "2 runs are already waiting"),
    "stop somebody's run": (lambda: loaders.stop(theirs("running")), "started in another session"),
    "stop a run of nobody": (lambda: loaders.stop(unowned()), "started in another session"),
    "move one's run before somebody's": (lambda: (theirs(), change("up", mine()))[1], "started in another session"),
    "move somebody's run": (lambda: (run := theirs(), mine(), change("down", run)), "started in another session"),
    "take somebody's run out": (lambda: change("remove", theirs()), "started in another session"),
    "take out by the function": (lambda: run_actions.take_out(theirs()), "started in another session"),
    "start a process for somebody's run": (
        lambda: jobs.start(["transfer", "--run", "x"], theirs()),
        "started in another session",
    ),
    "many steps": (launched(steps=301), "at most 300. Lower the steps"),
    "a huge batch": (launched(batch_size=100_000), "Got 100000 batch size; this public demo allows at most 64"),
    "a huge rank": (launched(lora_rank=1024), "at most 64"),
    "many anchor texts": (launched(n_anchor=10**6), "at most 2048"),
    "many general texts": (launched(n_general=10**6), "at most 512"),
    "many prompts of a plan": (launched(n_prompts=10**6), "at most 512"),
    "pairs without end": (launched(layer_pairs="1:1," * 3000), "at most 4,000"),
    "tasks without end": (launched(tasks=("demo/known-seen",) * 300), "at most 256"),
    "a plan with a hub model": (
        lambda: run_actions.launch(a_plan().model_validate(plan(teacher=HUB))),
        "its own pair of models only",
    ),
    "a plan with a hub data set": (launched(general="hf:stanfordnlp/sst2"), "its own prompts only"),
    "a plan with a file": (launched(data="/etc/x.jsonl"), "outside the folders"),
    "a family": (lambda: run_actions.launch_family([], "sft"), "no families"),
    "members of a family": (
        at_the_engine("family_members", plan=plan(), rivals=[], controls=[], seeds=50),
        "at most 5",
    ),
    "a sweep": (at_the_engine("sweep_members", plan=plan(), at_most=10**6, seeds=5), "at most 64"),
    "needs of a huge plan": (at_the_engine("plan_needs", plan=plan(batch_size=10**9)), "at most 64"),
    "another pair of the catalogue": (at_the_engine("compare", pair="pythia"), "its own pair of models only"),
    "two models by link": (
        at_the_engine("compare", pair="custom", teacher="gpt2", student="gpt2"),
        "its own pair of models only",
    ),
    "whether a hub model is there": (lambda: say(UNAVAILABLE("custom", "gpt2", "gpt2")), "its own pair of models only"),
    "a plan of a pair by link": (lambda: loaders.plan_of({"pair": "pythia"}), "its own pair of models only"),
    "room of a hub model": (
        at_the_engine("pair_room", pair="custom", teacher="gpt2", student="gpt2"),
        "its own pair of models only",
    ),
    "a hub data set": (at_the_engine("compare", pair="demo", prompts="hf:stanfordnlp/sst2"), "its own prompts only"),
    "a hub data set on a page": (
        lambda: loaders.prompt_list.__wrapped__("hf:stanfordnlp/sst2"),
        "its own prompts only",
    ),
    "many prompts": (at_the_engine("compare", pair="demo", n_prompts=5000), "at most 512"),
    "many permutations": (at_the_engine("similarity", pair="demo", measure="x", permutations=10**7), "at most 200"),
    "numbers without bounds": (at_the_engine("compare", pair="demo", draws=10**9), "does not offer that setting"),
    "numbers below": (at_the_engine("token_change", run="x", n=-5), "at least 1"),
    "not a number": (at_the_engine("writing", run="x", temperature=float("nan")), "this public demo allows"),
    "long texts to write": (at_the_engine("writing", run="x", lines="a", new_tokens=10**6), "at most 64"),
    "long lines": (at_the_engine("compare", pair="demo", lines="word " * 10_000), "at most 4,000. Shorten"),
    "a long text": (at_the_engine("inspect_token", pair="demo", text="x" * 10**6), "at most 4,000"),
    "many tokens to name": (at_the_engine("inspect_token", pair="demo", text="x", k=10**6), "at most 20"),
    "many picked prompts": (at_the_engine("picked_tokens", pair="demo", ids=list(range(10_000))), "at most 256"),
    "many runs": (at_the_engine("factors", finished={str(i): 1.0 for i in range(10_000)}, measures=[]), "at most 256"),
    "an upload too large": (lambda: keep(loaders.keep_task, rows(60_000)), "at most 1 MiB"),
    "prompts too large": (lambda: keep(loaders.keep_prompts, rows(60_000)), "at most 1 MiB"),
    "uploads without end": (lambda: uploads(11), "uploaded 10 files"),
    "uploads by all": (lambda: [by(f"v{i}", lambda: uploads(5)) for i in range(50)], "no room for further uploads"),
    "a task without end": (
        lambda: at_the_engine("user_task", run="x", task=keep(loaders.keep_task, rows(1001)))(),
        "at most 1,000",
    ),
    "train on a task without end": (lambda: launched(data=keep(loaders.keep_task, rows(1001)))(), "at most 1,000"),
    "a benchmark": (benchmark, "runs no benchmarks"),
    "end somebody's computation": (lambda: (e := crowd("them", 1)).stop(e.tasks["0"]), "Another session is waiting"),
    "free the memory under somebody": (lambda: crowd("them", 1).release(), "Another session is waiting"),
    "computations of one without end": (
        lambda: refusal(ASK(crowd("me", 8), "compare", {})),
        "Too many computations are waiting",
    ),
    "computations of all without end": (
        lambda: refusal(ASK(crowd("them", 32), "compare", {})),
        "Too many computations are waiting",
    ),
}
"""What somebody tries, and words of the sentence that refuses it."""


def unowned() -> str:
    from pkt_core.runs.folder import create_run

    return create_run(plan()).id


def say(sentence: str | None) -> None:
    if sentence is not None:
        raise PktError(sentence)


@pytest.mark.parametrize("abuse", ABUSES)
def test_each_abuse_is_refused_in_one_sentence(demo, abuse, monkeypatch):
    if abuse == "uploads by all":
        monkeypatch.setattr(limits, "ALL_BYTES", 10_000)
    what, said = ABUSES[abuse]
    with pytest.raises(PktError) as caught:
        what()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [words for words in demo if words != "work"]  # no process for anybody's run


ALLOWED: dict[str, Callable[[], Any]] = {
    "launch": lambda: run_actions.launch(a_plan(steps=300)),
    "launch on a task of one's own": lambda: launched(data=keep(loaders.keep_task, rows(50)))(),
    "resume one's own run": lambda: run_actions.resume(mine("stopped")),
    "requeue one's own run": lambda: run_actions.requeue(out_of_the_queue(mine())),
    "stop one's own run": lambda: loaders.stop(mine("running")),
    "move one's own runs": lambda: (mine(), change("up", mine())),
    "take one's own run out": lambda: change("remove", mine()),
    "look at somebody's run": lambda: (open_run(theirs()).plan(), loaders.runs()),
    "compare": asks("compare", pair="demo", prompts="facts", n_prompts=512, seed=7, permutations=200),
    "compare one's own lines": asks("compare", pair="demo", lines="a line\n" * 100),
    "write": asks("writing", run="x", lines="a", new_tokens=64, temperature=0.8, top_p=0.9),
    "needs of a plan": asks("plan_needs", plan=plan()),
    "a control": asks("control_plan", plan=plan(), control="random bases"),
    "an uploaded task": lambda: asks("user_task", run="x", task=keep(loaders.keep_task, rows(1000)))(),
    "uploads": lambda: uploads(10),
    "end one's own computation": lambda: (e := crowd("me", 1)).stop(e.tasks["0"]),
    "free the memory": lambda: crowd("me", 2).release(),
    "ask": lambda: refusal(ASK(crowd("me", 7), "compare", {})),
    "ask what somebody asked": lambda: refusal(ASK(crowd("them", 31), "compare", {})),
}


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("allowed", ALLOWED)
def test_what_is_allowed_passes_the_same_places(allowed):
    ALLOWED[allowed]()


@pytest.mark.parametrize(
    "abuse",
    [
        "many steps",
        "a huge batch",
        "launch past the limit",
        "take somebody's run out",
        "stop somebody's run",
        "move somebody's run",
        "requeue past the limit",
        "uploads without end",
        "free the memory under somebody",
        "computations of one without end",
    ],
)
@pytest.mark.usefixtures("demo")
def test_on_a_machine_of_one_s_own_nothing_is_limited(abuse, monkeypatch):
    monkeypatch.delenv("PKT_DEMO")
    ABUSES[abuse][0]()
    assert not list(limits.cache_root().rglob(limits.OWNER))


def test_a_session_has_a_word_of_its_own_and_keeps_it():
    from streamlit.testing.v1 import AppTest

    def script():
        import streamlit as st

        from dashboard import state

        st.text(state.visitor())

    one, other = AppTest.from_function(script).run(), AppTest.from_function(script).run()
    words = [app.text[0].value for app in (one, other, one.run())]
    assert words[0] == words[2] != words[1]
    assert len(words[0]) == 32


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("name", PAGES)
def test_nothing_that_a_page_asks_for_by_itself_is_refused(answers, name):
    app = page(name)
    assert not app.exception
    for function, arguments in answers.asked:
        asks(function, **arguments)()


@pytest.mark.usefixtures("demo")
def test_pages_of_a_demo_offer_its_own_models_and_prompts():
    app = page("transfer", pair="custom", steps="5000")
    assert not app.exception
    assert app.selectbox(key="pair").options == ["demo"]
    assert not {"file", "dataset"} & set(app.selectbox(key="prompts").options)
    assert app.number_input(key="steps").max == limits.MOST_STEPS
    assert access.folders() == []


@pytest.mark.usefixtures("demo")
def test_a_task_of_one_s_own_is_uploaded_chosen_and_answered_in_a_demo(cache):
    shutil.copytree(ROOT / "assets" / "recorded" / "demo-semalign-v1", cache / "runs" / "demo-semalign-v1")
    kept = keep(loaders.keep_task, rows(4))
    assert kept is not None
    assert loaders.task_as_it_is(kept) == kept
    found = at_the_engine("user_task", run="demo-semalign-v1", task=kept)()
    assert (found["n"], found["task"]) == (4, kept)


def test_pages_offer_everything_elsewhere():
    app = page("transfer")
    assert "custom" in app.selectbox(key="pair").options
    assert {"file", "dataset"} <= set(app.selectbox(key="prompts").options)


def test_the_command_hands_its_locks_to_the_app(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(subprocess, "call", lambda words, env: seen.update(env=env, words=words) or 0)
    CliRunner().invoke(commands, ["app", "--headless", "--demo", "--allow", str(tmp_path)])
    assert seen["env"]["PKT_DEMO"] == "1"
    assert seen["env"]["PKT_FOLDERS"] == str(tmp_path.resolve())
    assert seen["words"][:4] == [sys.executable, "-m", "streamlit", "run"]
    assert seen["words"][-2:] == ["--server.maxUploadSize", "1"]
    CliRunner().invoke(commands, ["app", "--headless"])
    assert "PKT_DEMO" not in seen["env"]
    assert "--server.maxUploadSize" not in seen["words"]
