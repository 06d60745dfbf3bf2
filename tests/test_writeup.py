"""The report: whole, offline, escaped; and one sentence where there is nothing to report yet."""

import json

import pytest
import report_samples as samples

from pkt_core.errors import StoreError
from pkt_core.report.writeup import write_report
from pkt_core.runs import create_run


def finished(results):
    run = create_run({"method": "semalign-v1", "seed": 0})
    run.write_results(results)
    return run


def test_a_report_opens_offline_and_holds_the_figures(tmp_path):
    results = samples.results()
    run = finished(results)
    run.append_event({**samples.step(1), "kind": "step"})
    page = write_report(run, tmp_path / "report.html").read_text()
    assert "plotly" in page
    assert "src=" not in page.split("</script>")[-1]
    assert len(page) < 10_000_000
    for task, change in results["changes"].items():
        assert task in page
        assert f"{change['p_value']:.4g}" in page


def test_hostile_text_is_shown_and_not_run(tmp_path):
    results = json.loads(json.dumps(samples.results()))
    results["generations"][0]["after"] = "<script>alert(1)</script>"
    results["command"] = "pkt <img src=x onerror=alert(1)>"
    page = write_report(finished(results), tmp_path / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_an_unfinished_run_is_one_sentence(tmp_path):
    run = create_run({"method": "sft"})
    with pytest.raises(StoreError, match="no measured results yet"):
        write_report(run, tmp_path / "report.html")
