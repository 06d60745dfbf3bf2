"""What is shown as running does run: the notebook in assets, and the README's Python."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "assets" / "notebooks" / "first_session.ipynb"
PICTURES = {"image/png", "text/html"}


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_the_notebook_is_kept_with_its_results():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert {output.output_type for output in outputs(notebook)} <= {"execute_result", "display_data"}
    assert sum(bool(PICTURES & set(output.data)) for output in outputs(notebook)) >= 6


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_notebook_runs(cache, monkeypatch):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=560, resources={"metadata": {"path": str(cache.parent)}}).execute()
    assert sum(bool(PICTURES & set(output.data)) for output in outputs(notebook) if "data" in output) >= 6
    assert list((cache / "runs").glob("*/results.json"))
    notebook.cells = [nbformat.v4.new_code_cell("import pkt_core as pkt; pkt.pair('nobody')")]
    with pytest.raises(CellExecutionError, match="There is no pair 'nobody'"):
        NotebookClient(notebook, timeout=60).execute()


@pytest.mark.slow
def test_the_python_of_the_readme_runs(cache, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert all("Plotly.newPlot" in (tmp_path / name).read_text() for name in ("heatmap.html", "behaviour.html"))
    assert list((cache / "runs").glob("*/results.json"))
    assert capsys.readouterr().out.startswith("(")
