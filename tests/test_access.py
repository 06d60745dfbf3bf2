"""What a page may open: every door with every bad kind of path beside a good one; and no other way to open a file."""

from __future__ import annotations

import ast
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import fakes
import pytest
from pages import ROOT, page

from dashboard import access, loaders, run_actions, state
from dashboard.engine.worker import answer
from dashboard.views.benchmarks import form as benchmarks_form
from pkt_core.benchmarks.tasks import Asking
from pkt_core.errors import PathError, PktError
from pkt_core.studies.families.record import PlannedRun

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default"), pytest.mark.timeout(60)]
UNAVAILABLE = loaders.unavailable.__wrapped__  # not its cache; and before a test stands something else in for it
OUTSIDE = "which is outside the folders that this app may read. Start it with `pkt app --allow FOLDER`"
ROW = '{"text": "a prompt", "prompt": "The capital of X is", "answer": " Y."}\n'


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fakes.loaded(tmp_path_factory.mktemp("model") / "m", layers=2).ref.name


@pytest.fixture
def locked(monkeypatch, tmp_path, model):
    """Only one folder is allowed, with good things in it and bad ones; there is another one beside it."""
    inside, outside = tmp_path / "allowed", tmp_path / "outside"
    for place in (inside, outside):
        (place / "data").mkdir(parents=True)
        (place / "data" / "rows.jsonl").write_text(ROW * 80)
        (place / "mine.jsonl").write_text("".join(ROW.replace("a prompt", f"prompt {i}") for i in range(80)))
        (place / ".hidden.jsonl").write_text(ROW * 80)
        (place / "model").mkdir()
        for one in Path(model).iterdir():
            (place / "model" / one.name).write_bytes(one.read_bytes())
    monkeypatch.setenv("PKT_FOLDERS", str(inside))
    monkeypatch.setenv("HOME", str(outside))
    return SimpleNamespace(inside=inside, outside=outside)


DOORS = {
    "teacher": lambda name: answer("pair_room", {"pair": "custom", "teacher": name, "student": "demo:student"}, quiet),
    "student": lambda name: answer("pair_room", {"pair": "custom", "teacher": "demo:teacher", "student": name}, quiet),
    "availability": lambda name: say(UNAVAILABLE("custom", name, "demo:student")),
    "prompts": lambda name: loaders.prompt_list.__wrapped__(name),
    "prompts of the engine": lambda name: answer("compare", {"pair": "demo", "prompts": name, "n_prompts": 8}, quiet),
    "a dataset": lambda name: access.require_allowed({"prompts": f"hf:{name},split=train"}),
    "a dataset after a space": lambda name: access.require_allowed({"prompts": f"hf: {name},split=train"}),
    "a plan's data": lambda name: loaders.plan_of({"pair": "demo", "data": name}),
    "a plan's tasks": lambda name: loaders.plan_of({"pair": "demo", "tasks": ("demo/known-seen", name)}),
    "a plan's text": lambda name: loaders.plan_of({"pair": "demo", "general": name}),
    "a plan to launch": lambda name: run_actions.launch(a_plan(name)),
    "a family to launch": lambda name: run_actions.launch_family(
        [PlannedRun("x", a_plan(name).model_dump(mode="json"))], "sft"
    ),
    "a task": loaders.task_as_it_is,
    "a task of the engine": lambda name: answer("user_task", {"run": "nobody", "task": name}, quiet),
    "a benchmark's task": lambda name: benchmark(
        tasks=[name if name.endswith((".jsonl", ".csv")) else f"{name}/x.jsonl"]
    ),
    "a benchmark's data": lambda name: benchmark(tasks=["gsm8k"], data=name),
}
"""Whatever a page, a link or a form hands a name to, where it is opened."""
OF_FOLDERS = ("teacher", "student", "availability", "a dataset", "a dataset after a space", "a benchmark's data")
OF_MODELS = OF_FOLDERS[:3]


def quiet(*_):
    pass


def say(sentence):
    if sentence is not None:
        raise PktError(sentence)


def a_plan(data):
    from pkt_core.transfer.plan import TransferPlan

    return TransferPlan.model_validate(
        {"teacher": {"name": "demo:teacher"}, "student": {"name": "demo:student"}, "data": data, "method": "sft"}
    )


def benchmark(tasks, **asking):
    benchmarks_form.start("nobody", [], tasks, Asking(**asking))
    say(state.told(benchmarks_form.PLACE))


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch):
    started = []
    monkeypatch.setattr("dashboard.jobs.work", lambda: started.append("work"))
    monkeypatch.setattr("dashboard.jobs.start", lambda *words: started.append(words))
    return started


def said_of(door, name) -> str:
    """What a door says of a name, with the name taken out; empty where it says nothing."""
    try:
        DOORS[door](str(name))
    except PktError as error:
        return str(error).replace(str(name), "NAME")
    return ""


@pytest.mark.parametrize("door", DOORS)
def test_a_forbidden_name_gets_one_sentence_whatever_is_there(locked, door, monkeypatch):
    monkeypatch.chdir(locked.outside)
    monkeypatch.setattr("pkt_core.base.files.open", lambda *_: pytest.fail("it was opened"), raising=False)
    (locked.outside / "loop.jsonl").symlink_to(locked.outside / "loop.jsonl")
    os.mkfifo(locked.outside / "pipe.jsonl")
    (locked.inside / "door").symlink_to(locked.outside)
    (locked.inside / "door.jsonl").symlink_to(locked.outside / "mine.jsonl")
    (locked.inside / "to-null.jsonl").symlink_to("/dev/null")
    names = [
        locked.outside / name
        for name in (
            "mine.jsonl",
            "missing.jsonl",
            "loop.jsonl",
            "pipe.jsonl",
            "data",
            "model",
            "no-folder",
            ".hidden.jsonl",
            "mine.jsonl/x.jsonl",
        )
    ]
    names += [
        locked.inside / name
        for name in (
            "door",
            "door/mine.jsonl",
            "door/missing.jsonl",
            "door.jsonl",
            "to-null.jsonl",
            ".hidden.jsonl",
            ".missing.jsonl",
            "../outside/mine.jsonl",
            "../outside/model",
        )
    ]
    names += [
        "/proc/self/environ",
        "/proc/self/cwd/x.jsonl",
        "/dev/stdin",
        "/dev/zero",
        "/dev/null",
        "/etc/passwd",
        "/etc/missing",
        "/",
        "~/mine.jsonl",
        "~root/mine.jsonl",
        "~nosuchuser/mine.jsonl",
        "../../mine.jsonl",
        "./mine.jsonl",
        "C:\\mine.jsonl",
        "\\\\host\\mine.jsonl",
        "a/b/c.jsonl",
    ]
    expected = f"Got 'NAME', {OUTSIDE}, or with PKT_FOLDERS set, to allow more."
    for name in map(str, names):
        if door.startswith("a dataset") and ("," in name or name.startswith(("C:", "\\", "a/b", "x"))):
            continue  # no spelling of a data set
        said = said_of(door, name)
        assert "\n" not in said
        assert OUTSIDE in said, (name, said)
        if len(name) < 200 and "\\" not in name and "\0" not in name and not door.startswith("a benchmark's task"):
            assert said == expected, name


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("door", [door for door in DOORS if not door.startswith("a dataset")])
def test_what_cannot_be_a_path_is_called_so(door):
    for name in ("/x\0.jsonl", "/" + "x/" * 3000 + "x.jsonl"):
        assert "which cannot be a path. Check its spelling." in said_of(door, name)


@pytest.mark.parametrize("door", [door for door in DOORS if door not in OF_FOLDERS])
def test_a_file_is_regular_and_of_limited_size(locked, door):
    os.mkfifo(locked.inside / "pipe.jsonl")
    (locked.inside / "loop.jsonl").symlink_to(locked.inside / "loop.jsonl")
    (locked.inside / "folder.jsonl").mkdir()
    with (locked.inside / "large.jsonl").open("wb") as large:
        large.truncate(50_000_000)  # one line
    line = socket.socket(socket.AF_UNIX)
    line.bind(str(locked.inside / "s.jsonl"))
    kinds = {
        "pipe.jsonl": "regular file",
        "loop.jsonl": "could not be read",
        "folder.jsonl": "is a folder",
        "large.jsonl": "has 48 MiB, at most 20 are read",
        "s.jsonl": "regular file",
        "missing.jsonl": "There is no file",
        "mine.jsonl/x.jsonl": "could not be read",
    }
    for name, said in kinds.items():
        assert said in said_of(door, locked.inside / name), (name, said_of(door, locked.inside / name))
    line.close()
    assert "ends in" in said_of(door, locked.inside / "model" / "config.json") or door == "a benchmark's task"
    said = said_of(door, locked.inside / "mine.jsonl")
    assert said == "" or "no run 'nobody'" in said or "at least" in said, said


@pytest.mark.parametrize("door", OF_FOLDERS)
def test_a_folder_holds_nothing_but_regular_files(locked, door):
    place = locked.inside / ("model" if door in OF_MODELS else "data")
    assert said_of(door, place) == ""
    for name, make, said in (
        ("pipe", os.mkfifo, "'pipe', which is no regular file"),
        (
            "out",
            lambda path: path.symlink_to(locked.outside / "mine.jsonl"),
            "link 'out', which is broken or leads outside",
        ),
        (
            "nowhere",
            lambda path: path.symlink_to(locked.outside / "missing"),
            "link 'nowhere', which is broken or leads outside",
        ),
        ("loop", lambda path: path.symlink_to(path), "link 'loop'"),
        ("null", lambda path: path.symlink_to("/dev/null"), "link 'null'"),
        ("folder", lambda path: path.symlink_to(locked.outside / "data"), "link 'folder'"),
    ):
        make(place / name)
        assert said in said_of(door, place), name
        (place / name).unlink()
    if door not in OF_MODELS:
        (place / "deeper").mkdir()
        with (place / "deeper" / "large.jsonl").open("wb") as large:
            large.truncate(50_000_000)
        assert "'large.jsonl' of 48 MiB; pages read files of at most 20 MiB" in said_of(door, place)
        (place / "deeper" / "large.jsonl").unlink()
    (place / "same").symlink_to(locked.inside / "mine.jsonl")
    assert said_of(door, place) == ""
    assert "is no folder" in said_of(door, locked.inside / "mine.jsonl")


def test_a_folder_of_thousands_of_files_is_not_walked_to_its_end(locked, monkeypatch):
    monkeypatch.setattr(access, "MOST_ENTRIES", 5)
    for i in range(6):
        (locked.inside / "data" / str(i)).touch()
    assert "holds over 5 files" in said_of("a benchmark's data", locked.inside / "data")


def test_task_files_of_the_harness_are_never_read_from_a_page(locked, nothing_starts):
    (locked.inside / "data" / "t.yaml").write_text("task: t\ndoc_to_text: !function evil.run\n")
    with pytest.raises(PktError, match="may contain code, so no page reads them. Pass their folder in a terminal"):
        benchmark(tasks=["t"], include=str(locked.inside / "data"))
    assert not nothing_starts
    benchmark(tasks=["demo/known-seen"], data=str(locked.inside / "data"))
    assert nothing_starts


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-0.5B", "demo:teacher", "gpt2", "", "demo:../../x"])
def test_hub_ids_and_bundled_models_are_no_paths(name):
    access.require_allowed({"teacher": name, "plan": {"student": {"name": name}}})


@pytest.mark.usefixtures("locked")
def test_bundled_sets_kept_copies_and_datasets_are_no_paths_and_texts_are_left_alone():
    for name in ("facts", "kept:mine-0123456789abcdef", "hf:stanfordnlp/sst2,split=test", ""):
        access.require_allowed({"prompts": name})
    for name in ("demo/unknown-seen", "capitals/seen", "kept:mine-0123456789abcdef.jsonl"):
        access.require_allowed({"data": name, "tasks": [name], "task": name})
    access.require_allowed({"text": "/etc/passwd", "lines": "/etc/passwd\n~/.ssh", "labels": ["/etc"], "n": 3})


def test_a_folder_that_is_called_like_a_hub_id_is_a_folder(locked, monkeypatch):
    monkeypatch.chdir(locked.outside)
    (locked.outside / "owner" / "name").mkdir(parents=True)
    for asked in ({"teacher": "owner/name"}, {"prompts": "hf:owner/name"}, {"prompts": "hf:owner/name@main,split=x"}):
        with pytest.raises(PathError, match="outside the folders"):
            access.require_allowed(asked)
    (locked.outside / "owner" / "name").rmdir()
    access.require_allowed({"teacher": "owner/name"})


def test_the_root_of_the_machine_is_never_allowed_by_chance(monkeypatch, tmp_path):
    monkeypatch.delenv("PKT_FOLDERS", raising=False)
    monkeypatch.setenv("HOME", "/")
    monkeypatch.chdir("/")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(PathError, match="outside the folders"):
        access.file(str(tmp_path / "x.txt"), access.PROMPTS)
    monkeypatch.chdir(tmp_path)
    assert access.file("x.txt", access.PROMPTS) == b"x"


def test_tokens_and_keys_of_the_home_are_outside(monkeypatch, tmp_path):
    monkeypatch.delenv("PKT_FOLDERS", raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    hub = tmp_path / ".cache" / "huggingface" / "hub" / "models--a--b" / "snapshots" / "1"
    hub.mkdir(parents=True)
    for name in (".cache/huggingface/token", ".netrc", ".ssh/id_rsa"):
        with pytest.raises(PathError, match="outside the folders"):
            access.place_of(f"~/{name}")
    assert access.folder(str(hub), deep=False) == hub  # what the hub's library keeps is named by some
    assert access.place_of("~/mine.txt") == tmp_path / "mine.txt"


def test_pages_say_it_in_one_sentence_and_read_nothing(locked):
    assert "outside the folders" in str(UNAVAILABLE("custom", str(locked.outside), "demo:student"))
    path = str(locked.outside / "mine.jsonl")
    assert loaders.file_as_it_is(path) == path  # not kept: its content never reaches the cache
    assert loaders.prompt_facts(path) is None
    assert loaders.prompt_facts(str(locked.inside / "mine.jsonl")).n == 80
    assert loaders.file_as_it_is(str(locked.inside / "mine.jsonl")).startswith("kept:mine-")
    app = page("pair", pair="custom", teacher=str(locked.outside), student="demo:student")
    assert not app.exception


OPENING = {"open", "read_text", "read_bytes", "fdopen", "read_csv", "read_json", "read_excel", "read_parquet", "read_pickle", "read_regular", "loadtxt", "genfromtxt", "fromfile", "memmap", "from_pretrained", "load_file", "safe_open", "copyfile", "copy", "copytree", "sendfile", "readlines"}  # fmt: skip
MAY_OPEN = {
    "dashboard/access.py": {"read_regular"},
    "dashboard/engine/worker.py": {"open", "fdopen"},  # the request pipe, and the null device in its place
    "dashboard/limits.py": {"read_json"},  # who owns a run, in its folder
    "dashboard/pulse.py": {"read_text"},  # its own script
    "dashboard/views/transfer/plan_form.py": {"read_text"},  # the same
    "dashboard/jobs.py": {"open"},  # the end of the log in a run's folder
    "dashboard/views/transfer/page.py": {"open"},  # a tab that is open
}


def opened_by(path: Path) -> set[str]:
    """Names of calls and attributes by which a file may be opened."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = (
                node.func.id
                if isinstance(node.func, ast.Name)
                else node.func.attr
                if isinstance(node.func, ast.Attribute)
                else ""
            )
            found |= {called} & OPENING
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {alias.name for alias in node.names} & (OPENING | {"fileinput", "linecache", "mmap"})
    return found


def test_no_module_of_the_dashboard_opens_a_file_by_another_way(tmp_path):
    for path in (ROOT / "dashboard").rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        assert opened_by(path) <= MAY_OPEN.get(name, set()), name
    bad = tmp_path / "bad.py"
    for code in (
        "open('x')",
        "Path('x').read_bytes()",
        "import os\nos.open('x', 0)",
        "from pkt_core.base.files import read_regular",
        "pd.read_csv('x')",
    ):
        bad.write_text(code)
        assert opened_by(bad)
