"""The rules of the house, read from the imports: data flows one way, the core never knows the app, heavy things stay inside."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "pkt_core").rglob("*.py"))
# A room imports its own modules and those of the rows below it. Rooms side by side in one row do not see each other.
STUDIES = "layer_pair latent_map alignment_maps inspection token_change generations behaviour families factors"
ROWS = [
    "__main__ prompts examples",
    "cli",
    "api",
    "report",
    "benchmarks",
    "runner",
    "pipeline",
    " ".join(f"studies/{name}" for name in STUDIES.split()),
    "studies/comparison",
    "runs/student",
    "transfer",
    "runs",
    "evaluation",
    "alignment",
    "similarity projection",
    "activations",
    "words",
    "models",
    "data",
    "base",
    "errors",
]
HEIGHT = {room: -row for row, rooms in enumerate(ROWS) for room in rooms.split()}
DOORS = {"session_state", "query_params"}
WRITERS = {
    "base/files",
    "base/staging",
    "base/sealed",
    "base/store",
    "runs/folder",
    "runs/queue",
    "runs/index",
    "data/prompt_files",
    "data/hub_datasets",
    "data/prompts",
    "data/examples",
    "models/catalog",
    "models/loading",
    "transfer/export",
    "transfer/checkpoint",
    "transfer/targets",
    "report/html_page",
}


def room_of(name):
    """The room of a module by its path: a folder, a study's folder, a module at the top, or the one that opens what a transfer left."""
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] == "studies" or name == "runs/student" else parts[0]


def rooms_imported(path):
    """Rooms of the core that a file imports, however it writes it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            whole = node.module in ("pkt_core", "pkt_core.studies")
            names = [f"{node.module}.{alias.name}" for alias in node.names] if whole else [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("pkt_core.") and name != "pkt_core.__version__":
                yield room_of(name.removeprefix("pkt_core.").replace(".", "/"))


def name_of(path):
    return path.relative_to(ROOT / "pkt_core").with_suffix("").as_posix().removesuffix("/__init__")


def imports(path, *, top_only=False):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_a_room_imports_only_rooms_below_it(path):
    room = room_of(name_of(path))
    if room in ("__init__", ".", "studies", "studies/__init__"):
        return
    assert room in HEIGHT, f"{room} has no row"
    for other in rooms_imported(path):
        assert other == room or HEIGHT[other] < HEIGHT[room], f"{path} imports {other}"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_knows_neither_streamlit_nor_the_app_and_draws_in_figures_alone(path):
    for module in imports(path):
        first = module.split(".")[0]
        assert first != "streamlit"
        assert first != "dashboard" or room_of(name_of(path)) == "cli"  # `pkt app` starts it
        if first == "plotly":
            assert path.name == "figures.py" or name_of(path) in ("words/style", "report/html_page"), path


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_figures_and_words_of_a_study_load_no_model(path):
    if path.name not in ("figures.py", "text.py"):
        return
    for module in imports(path):
        assert module.split(".")[0] not in ("torch", "transformers"), path
    assert "models" not in rooms_imported(path)


def graph_of(root):
    """Every module of the core and the app with those it imports, inside functions and for the type checker too."""
    paths = [path for top in ("pkt_core", "dashboard") for path in (root / top).rglob("*.py")]
    named = {".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}
    graph = {}
    for name, path in named.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                found |= {one if one in named else node.module for one in whole.values()}
        graph[name] = found & named.keys() - {name}
    return graph


def test_no_module_imports_itself_in_a_circle(tmp_path):
    (tmp_path / "pkt_core").mkdir()
    (tmp_path / "pkt_core" / "one.py").write_text("from pkt_core import two", encoding="utf-8")
    (tmp_path / "pkt_core" / "two.py").write_text("def f():\n    from pkt_core.one import g", encoding="utf-8")
    with pytest.raises(CycleError):
        TopologicalSorter(graph_of(tmp_path)).prepare()
    graph = graph_of(ROOT)
    assert "pkt_core.similarity.record" in graph["pkt_core.similarity.reading"]
    TopologicalSorter(graph).prepare()


def test_pages_do_not_import_each_other():
    for path in (ROOT / "dashboard" / "views").rglob("*.py"):
        for module in imports(path):
            parts = module.split(".")
            assert parts[:2] != ["dashboard", "views"] or parts[2:3] in ([], [path.parent.name]), (
                f"{path} imports {module}"
            )


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_heavy_imports_stay_inside_functions(path):
    for module in imports(path, top_only=True):
        assert module.split(".")[0] not in (
            "umap",
            "transformers",
            "peft",
            "streamlit",
            "datasets",
            "lm_eval",
            "evaluate",
        ), f"{path} imports {module} on top"
    if any(m.split(".")[0] == "umap" for m in imports(path)):
        assert name_of(path).startswith("projection")


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_only_a_few_modules_touch_files(path):
    calls = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in ("write_text", "write_bytes", "read_text", "read_bytes", "unlink", "mkdir", "rename")
    }
    assert not calls or name_of(path) in WRITERS, f"{path} uses {calls}"


def test_the_app_starts_without_anything_heavy():
    import subprocess
    import sys

    code = "import sys, dashboard.state, dashboard.loaders; print([m for m in ('torch','transformers','umap','sklearn') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip().splitlines()[-1] == "[]"


def test_commands_that_load_no_model_start_without_anything_heavy():
    import subprocess
    import sys

    code = "import sys, pkt_core.cli; from pkt_core.transfer.plan import TransferPlan; print([m for m in ('torch','transformers','umap','sklearn','plotly','scipy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip().splitlines()[-1] == "[]"


def test_session_state_is_touched_in_one_file():
    for path in (ROOT / "dashboard").rglob("*.py"):
        tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        if path.name != "state.py":
            assert not {node.attr for node in tree if isinstance(node, ast.Attribute)} & DOORS, path
        assert "unsafe_allow_html" not in {node.arg for node in tree if isinstance(node, ast.keyword)}, path


def test_no_test_file_imports_another():
    """Fixtures lie in conftest and browsing, what else is shared in modules whose names do not begin with `test_`."""
    for path in (ROOT / "tests").glob("*.py"):
        assert not [name for name in imports(path) if name.removeprefix("tests.").startswith("test_")], path


def test_no_folder_is_taken_for_pages_by_streamlit():
    """One called `pages` beside the script tells the first visitor of a link that the page does not exist."""
    assert not (ROOT / "dashboard" / "pages").exists()


def test_scripts_written_for_the_former_places_still_run():
    from pkt_core.data import examples, prompts
    from pkt_core.examples import load_examples
    from pkt_core.prompts import load_prompts, pasted

    assert (load_examples, load_prompts, pasted) == (examples.load_examples, prompts.load_prompts, prompts.pasted)
