"""Make the recorded runs again: the very commands a user would type, their run folders copied here.

    python assets/recorded/record.py                 # everything
    python assets/recorded/record.py comparison      # the comparison and its other measures only
    python assets/recorded/record.py measures        # what each measure claims of itself, so that pages need no torch
    python assets/recorded/record.py runs            # the five runs
    python assets/recorded/record.py family          # every method and control on the demo pair, three seeds (an hour)
    python assets/recorded/record.py factors         # SemAlign at every pair of layers, three seeds (an hour), and what went with its gain

The app shows these on a first visit, labelled as recorded. `tests/test_recorded.py` runs the SemAlign command again and
compares. Trained weights are kept for that one only (3 MB); the others can be made again in half a minute each.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from pkt_core.runs.folder import runs_root
from pkt_core.similarity.measures import MEASURES
from pkt_core.studies.alignment_maps.compute import KINDS

HERE = Path(__file__).parent
LAYERS = ["--teacher-layer", "5", "--student-layer", "2"]
PLAN = ["--pair", "demo", *LAYERS, "--learning-rate", "0.003", "--seed", "0"]
RUNS = {  # the last one is the newest, which is what the app opens first
    "demo-sft": ["--method", "sft"],
    "demo-logit-kd": ["--method", "logit-kd"],
    "demo-ours": ["--method", "ours", "--learning-rate", "0.004"],
    "demo-semalign-v1-permuted": ["--method", "semalign-v1", "--map", "permuted"],
    "demo-semalign-v1": ["--method", "semalign-v1"],
}


def pkt(*words: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "pkt_core", *words, "--json", "-"], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def record_comparison() -> None:
    comparison = pkt("compare", "--pair", "demo")
    (HERE / "comparison.json").write_text(json.dumps(comparison) + "\n", encoding="utf-8")
    others = [name for name in MEASURES if name != comparison["grid"]["measure"]]
    grids = {name: pkt("compare", "--pair", "demo", "--measure", name)["grid"] for name in others}
    (HERE / "grids.json").write_text(json.dumps(grids) + "\n", encoding="utf-8")
    teacher, student = LAYERS[1::2]
    maps = {
        "maps": pkt("maps", "--pair", "demo", "--teacher-layer", teacher, "--student-layer", student),
        "stitching": {kind: pkt("stitch", "--pair", "demo", "--kind", kind) for kind in KINDS},
    }
    (HERE / "maps.json").write_text(json.dumps(maps) + "\n", encoding="utf-8")


def record_family() -> None:
    from pkt_core.base.records import to_json
    from pkt_core.studies.families.compute import table as family_table

    words = [
        "family",
        "--pair",
        "demo",
        "--method",
        "semalign-v1",
        *LAYERS,
        "--learning-rate",
        "0.003",
        "--rival",
        "all",
    ]
    words += ["--seeds", "3", "--n-task-items", "500", "--n-general", "100"]
    made = pkt(*words, "--name", "demo")
    table = {
        **to_json(family_table(made["family"], {run for row in made["rows"] for run in row["runs"]})),
        "command": shlex.join(["pkt", *words]),
    }
    (HERE / "family.json").write_text(json.dumps(table) + "\n", encoding="utf-8")


def record_factors() -> None:
    from pkt_core.base.records import to_json
    from pkt_core.runs.family import runs_of
    from pkt_core.studies.factors.compute import answer

    words = ["sweep", "--pair", "demo", "--method", "semalign-v1", "--learning-rate", "0.003"]
    words += ["--seeds", "3", "--n-task-items", "300", "--n-general", "60"]
    pkt(*words, "--name", "layers")
    found = {**to_json(answer(runs_of("layers"), measures=list(MEASURES))), "command": shlex.join(["pkt", *words])}
    (HERE / "factors.json").write_text(json.dumps(found) + "\n", encoding="utf-8")


def record_runs() -> None:
    for name, words in RUNS.items():
        made = runs_root() / pkt("transfer", *PLAN, *words)["run"]
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        keep = None if name == "demo-semalign-v1" else shutil.ignore_patterns("student")
        shutil.copytree(made, folder, ignore=keep)
        status = json.loads((folder / "status.json").read_text())
        status["process"] = None  # which process it was on which machine means nothing elsewhere
        (folder / "status.json").write_text(json.dumps(status, indent=1) + "\n")
        print(name, "from", made.name)


def record_measures() -> None:
    from pkt_core.base.records import to_json

    claims = {name: to_json(measure.facts) for name, measure in MEASURES.items()}
    (HERE / "measures.json").write_text(json.dumps(claims, indent=1) + "\n", encoding="utf-8")


PARTS = {
    "measures": record_measures,
    "comparison": record_comparison,
    "runs": record_runs,
    "family": record_family,
    "factors": record_factors,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
