"""The command line called in this process, on the tiny models of the fixture `models`."""

import json
import sys
from pathlib import Path

import fakes

from pkt_core import cli

EXAMPLES = [("Paris is a city in", " France."), ("Rome is a city in", " Italy."), ("the quick brown", " fox jumps")] * 4


def write_models(folder: Path) -> None:
    """A teacher, a student, examples and prompts in files."""
    fakes.folder(folder / "teacher", layers=4, width=48)
    fakes.folder(folder / "student", seed=1)
    rows = [json.dumps({"prompt": p, "answer": a}) for p, a in EXAMPLES]
    (folder / "data.jsonl").write_text("\n".join(rows))
    (folder / "prompts.txt").write_text(
        "\n".join(f"prompt {i} about {w}" for i, w in enumerate([*fakes.TEXT[:2], "Rome and Paris"] * 27))
    )


def pair(models):
    return ["--teacher", str(models / "teacher"), "--student", str(models / "student")]


def work(models):
    return [
        *pair(models),
        *(
            "--data",
            str(models / "data.jsonl"),
            "--prompts",
            str(models / "prompts.txt"),
            "--general",
            str(models / "prompts.txt"),
        ),
        *("--n-prompts", "40", "--n-general", "12", "--steps", "4", "--batch-size", "4"),
    ]


def run(capsys, *words):
    """Exit status, standard output, standard error."""
    argv, sys.argv = sys.argv, ["pkt", *map(str, words)]
    try:
        cli.main()
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    finally:
        sys.argv = argv
    out = capsys.readouterr()
    return status, out.out, out.err
