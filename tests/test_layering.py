"""The rules of the house, read from the imports: data flows one way, the core never knows the app, heavy things stay inside."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "pkt_core").rglob("*.py"))
# A module may import from its own room and from those before it. Rooms side by side in one row do not see each other.
ROWS = [
    {"errors"},
    {"staging"},
    {"files", "status", "hub", "fingerprint"},
    {"row_files", "run_index"},
    {"sealed"},
    {"prompt_files"},
    {"hub_datasets"},
    {"prompts"},
    {"store", "examples"},
    {"models"},
    {"catalog", "activations"},
    {"similarity", "alignment", "projection"},
    {"transfer"},
    {"evaluation"},
    {"results", "map_results", "readings", "token_results", "task_results", "run_files"},
    {"runs"},
    {"controlled"},
    {"report", "stages"},
    {"pipeline"},
    {"looking", "mapping", "translating", "inspecting", "families", "waiting", "benching"},
    {"picking", "closer", "behaving", "factors"},
    {"terminal", "options"},
    {"carrying", "cli_maps"},
    {"cli_transfers", "bench_jobs"},
    {"cli_factors", "cli_benchmarks"},
    {"cli"},
    {"__main__"},
]
ORDER = {room: i for i, row in enumerate(ROWS) for room in row}
WRITERS = {
    "files",
    "staging",
    "sealed",
    "store",
    "runs",
    "run_index",
    "prompt_files",
    "hub_datasets",
    "prompts",
    "catalog",
    "examples",
    "transfer/export",
    "transfer/checkpoint",
    "transfer/targets",
    "waiting",
    "models/loading",
    "report/writeup",
}


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
def test_core_imports_go_down_the_list_and_never_to_the_app(path):
    room = name_of(path).split("/")[0]
    if room == "__init__" or room == ".":
        return
    for module in imports(path):
        parts = module.split(".")
        assert parts[0] not in ("streamlit", "dashboard") or room == "cli", f"{path} imports {module}"
        assert parts[0] != "streamlit"
        if parts[0] == "plotly":
            assert room == "report"
        if parts[0] == "pkt_core" and len(parts) > 1:
            assert parts[1] == room or ORDER[parts[1]] < ORDER[room], f"{path} imports {module}"


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
        text = path.read_text(encoding="utf-8")
        if path.name != "state.py":
            assert "st.session_state" not in text, path
            assert "st.query_params" not in text, path
        assert "unsafe_allow_html" not in text, path


def test_pipeline_can_be_read_in_five_minutes():
    assert len((ROOT / "pkt_core/pipeline.py").read_text().splitlines()) < 150


def test_readme_names_every_module():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name_of(p) for p in CORE if p.stem not in ("__init__", "__main__") and f"`{p.name}`" not in readme]
    assert not missing
