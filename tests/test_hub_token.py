"""The token of the hub stays where it is: no file, report, log or output of a whole run holds it, and no child that needs no hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import run, work

from pkt_core.base.files import cache_root
from pkt_core.models import tokenizer
from pkt_core.runs.folder import list_runs

ROOT = Path(__file__).parents[1]
CANARY = "hf_canaryCANARYcanary0123456789"


def files_with(word):
    return [path for path in cache_root().rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


@pytest.mark.slow
def test_the_token_of_the_hub_is_nowhere_after_a_whole_run(capsys, models, tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = []
    for words in (
        ["compare", *work(models)[:4], "--prompts", models / "prompts.txt", "--json", tmp_path / "comparison.json"],
        ["transfer", *work(models), "--json", tmp_path / "transfer.json"],
        ["compare", "--teacher", "nobody/nothing", "--student", models / "student"],
        ["runs"],
    ):
        status, out, err = run(capsys, *words)
        assert status == (1 if "nobody/nothing" in words else 0), err
        said.append(out + err)
    (summary,) = list_runs()
    said.append("".join(run(capsys, "report", summary.id)[1:]))
    # The queue's worker writes a log of its own, and the app's engine answers on standard output.
    worker = subprocess.run(
        [sys.executable, "-m", "pkt_core", "transfer", "--run", summary.id], cwd=ROOT, capture_output=True, text=True
    )
    asked = json.dumps(
        {"function": "compare", "arguments": {"pair": "custom", "teacher": "nobody/nothing", "student": "x/y"}}
    )
    engine = subprocess.run(
        [sys.executable, "-m", "dashboard.engine.worker"], cwd=ROOT, input=asked + "\n", capture_output=True, text=True
    )
    assert '"error"' in engine.stdout
    said += [worker.stdout, worker.stderr, engine.stdout, engine.stderr]
    assert not [text for text in said if CANARY in text]
    assert files_with(CANARY) == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and CANARY in path.read_text(errors="replace")]
    assert files_with(summary.id)  # a word that is there is found


def test_a_child_that_looks_at_a_tokenizer_has_no_environment(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", CANARY)
    monkeypatch.setattr(tokenizer, "CHILD", "import os\nraise SystemExit(f'told {sorted(os.environ)}')")
    tokenizer.too_slow.cache_clear()
    sentence = tokenizer.too_slow(json.dumps({"normalizer": None, "pre_tokenizer": None}))
    tokenizer.too_slow.cache_clear()
    assert "told [" in sentence
    assert "TOKEN" not in sentence
    assert "HF_TOKEN" in os.environ
