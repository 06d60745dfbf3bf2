"""A small sample of each kind of fault, and that the tool sees a fault where there is one."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest

from tests.faults import crashpoints
from tests.faults.crashpoints import Scenario
from tests.serving import ROOT


def table_of(*words: str) -> str:
    """What the tool prints. It runs alone: it forks, and this process may have computed already."""
    command = [sys.executable, "-m", "tests.faults", "--lanes", "2", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    return done.stdout


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # the child only writes a file
def test_a_writer_that_can_be_cut_short_is_found_out_and_one_that_cannot_is_not(tmp_path):
    from pkt_core.base.files import write_bytes

    old, new = b"old" * 3000, b"new" * 5000

    def verdicts(name: str, write) -> set[str]:
        folder = tmp_path / name
        folder.mkdir()
        scenario = Scenario(
            name,
            lambda cache: write_bytes(cache / "file", old),
            lambda cache: write(cache / "file", new),
            lambda cache: (cache / "file").read_bytes(),
            (old, new),
        )
        found = set()
        for index in range(16):
            (folder / str(index)).mkdir()
            outcome = crashpoints.attempt(scenario, 4, Random(index), index, folder / str(index))
            found |= {outcome.verdict} if "instead of being killed" not in outcome.detail else set()
        return found

    assert verdicts("naive", lambda path, data: path.write_bytes(data)) == {"held", "not held"}
    assert verdicts("ours", write_bytes) == {"held"}


def test_few_of_the_quick_kinds_hold():
    told = table_of("--kills", "0", "--corruptions", "120", "--cuts", "8", "--visitors", "0", "--races", "0")
    assert "corrupt-checkpoint" in told
    assert "cut-Checkpoints.save" in told


@pytest.mark.slow
def test_some_kills_and_races_hold():
    told = table_of("--kills", "24", "--corruptions", "0", "--cuts", "0", "--visitors", "0", "--races", "1")
    assert "kill-measuring" in told
    assert "race-suspended" in told


@pytest.mark.slow
def test_some_visitors_see_no_fault():
    told = table_of("--kills", "0", "--corruptions", "0", "--cuts", "0", "--visitors", "3", "--races", "0")
    assert "visitor" in told
