"""What pages keep of the last drawing is never stale: figures by their values, runs by their files, claims by the records."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import recorded_results
from scipy.stats import spearmanr

from dashboard import figure_cache, recorded
from pkt_core.runs import folder as run_folder
from pkt_core.similarity.facts import MeasureFacts
from pkt_core.studies.comparison import text as comparison_text
from pkt_core.studies.comparison.figures import similarity_heatmap

ROOT = Path(__file__).parents[1]


def test_a_figure_is_drawn_once_for_the_same_values_and_again_for_others():
    grid = recorded_results.grid()
    first = figure_cache.similarity_heatmap(grid, label="CKA", pairing=[0, 2, 5], chosen=(4, 1))
    assert (
        figure_cache.similarity_heatmap(recorded_results.grid(), label="CKA", pairing=[0, 2, 5], chosen=(4, 1)) is first
    )
    assert first.to_json() == similarity_heatmap(grid, label="CKA", pairing=[0, 2, 5], chosen=(4, 1)).to_json()
    grid.values[4, 1] += 1e-12  # the same array, changed in place
    other = figure_cache.similarity_heatmap(grid, label="CKA", pairing=[0, 2, 5], chosen=(4, 1))
    assert other is not first
    assert figure_cache.similarity_heatmap(grid, label="CKA", pairing=[0, 2, 5], chosen=(4, 2)) is not other


def test_a_grid_too_large_for_its_own_text_is_told_from_another():
    """NumPy's text of more than a thousand cells leaves out the middle."""
    large = recorded_results.resized(recorded_results.grid(), 40, 40)
    first = figure_cache.similarity_heatmap(large)
    assert figure_cache.similarity_heatmap(recorded_results.resized(recorded_results.grid(), 40, 40)) is first
    values = large.values.copy()
    values[20, 20] += 1e-12
    assert figure_cache.similarity_heatmap(replace(large, values=values)) is not first


def test_no_more_figures_are_kept_than_said(monkeypatch):
    monkeypatch.setattr(figure_cache, "KEPT", 2)
    facts = recorded_results.comparison().outliers
    first = figure_cache.outlier_figure(facts)
    for share in (0.5, 0.6):
        figure_cache.outlier_figure(replace(facts, student=replace(facts.student, top_share=[share] * 3)))
    assert figure_cache.outlier_figure(facts) is not first
    assert len(figure_cache._drawn) == 2


def test_a_run_that_is_over_is_read_once_and_again_when_it_changed(monkeypatch):
    made = run_folder.create_run({"method": "sft"}, run_id="one")
    read = run_folder._read_summary
    asked: list[str] = []
    monkeypatch.setattr(run_folder, "_read_summary", lambda run: asked.append(run.id) or read(run))
    made.write_status("running")
    for _ in range(2):
        assert run_folder.list_runs()[0].state == "running"
    made.write_status("done", message="Done.")
    for _ in range(3):
        assert (run_folder.list_runs()[0].state, run_folder.list_runs()[0].message) == ("done", "Done.")
    assert len(asked) == 3  # twice while it ran, once when it was over
    made.write_status("running", message="Measuring again")
    assert run_folder.list_runs()[0].state == "running"
    made.write_status("failed", message="The disk is full.")
    assert run_folder.list_runs()[0].message == "The disk is full."
    (made.folder / "plan.json").write_text("{")
    assert run_folder.list_runs()[0].state == "damaged"


def test_the_claims_that_ship_are_those_of_the_records():
    assert recorded.measures() == recorded.claims()
    assert recorded.records(MeasureFacts, recorded.read("measures.json")) == recorded.claims()


@pytest.mark.parametrize("seed", range(3))
def test_rank_correlation_is_that_of_scipy_ties_included(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 6, 30).astype(float), rng.normal(size=30)
    assert comparison_text.rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert comparison_text.rank_correlation(x, -x) == pytest.approx(-1.0)
    assert np.isnan(comparison_text.rank_correlation(np.ones(4), y[:4]))


def test_no_page_of_the_demo_brings_a_heavy_library_into_the_dashboard(tmp_path):
    code = """
import sys
from streamlit.testing.v1 import AppTest
from dashboard.engine.client import Engine, Task
Engine.ask = Engine.known = lambda self, function, arguments, **_: Task(function, arguments, status="working")
Engine.warm = lambda self: None
app = AppTest.from_file("ROOT/dashboard/app.py", default_timeout=120).run()
for page in "alignment latent_map maps inspector transfer families factors behaviour tokens benchmarks runs".split():
    app.switch_page(f"views/{page}/page.py").run()
    assert not app.exception, page
print([one for one in ("torch", "transformers", "umap", "sklearn", "scipy.stats") if one in sys.modules])
""".replace("ROOT", str(ROOT))
    script = tmp_path / "walk.py"
    script.write_text(code)
    told = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert told.stdout.strip().splitlines()[-1:] == ["[]"], told.stderr[-2000:]
