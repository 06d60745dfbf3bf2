"""A store of 1,000 runs beside one of 10: the list, `pkt runs` and the pages that list runs, each in a process of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from tests.serving import ROOT

SIZES = (10, 1000)
PAGES = ("runs", "families", "factors", "behaviour")
FILL = "import sys; sys.path.insert(0, 'tests'); from run_store import fill; fill(int(sys.argv[1]))"
LIST = "import time; from pkt_core import runs; began = time.perf_counter(); runs.list_runs(); print(time.perf_counter() - began)"
PAGE = """
import sys, time
from streamlit.testing.v1 import AppTest
from dashboard import loaders
app = AppTest.from_file(sys.argv[1], default_timeout=300).run()
app.switch_page(f"views/{sys.argv[2]}.py").run()
began = time.perf_counter()
app.run()
print(time.perf_counter() - began)
loaders.engine().release()
"""
CLI = "import subprocess, sys, time; began = time.perf_counter(); subprocess.run([sys.executable, '-m', 'pkt_core', 'runs'], stdout=subprocess.DEVNULL, check=True); print(time.perf_counter() - began)"


def seconds(cache: str, code: str, *arguments: str) -> float:
    """What a program measured of itself on a store."""
    said = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PKT_CACHE": cache},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout
    return float(said.split()[-1])


def many_against_few(rounds: int = 5) -> None:
    kinds = {"The list": (LIST,), "pkt runs": (CLI,)}
    kinds |= {f"Page {name}, drawn again": (PAGE, str(ROOT / "dashboard" / "app.py"), name) for name in PAGES}
    with tempfile.TemporaryDirectory() as few, tempfile.TemporaryDirectory() as many:
        stores = dict(zip(SIZES, (few, many), strict=True))
        for size, cache in stores.items():
            subprocess.run(
                [sys.executable, "-c", FILL, str(size)], env={**os.environ, "PKT_CACHE": cache}, cwd=ROOT, check=True
            )
            seconds(cache, LIST)  # the first list writes the index
        for what, asked in kinds.items():
            taken = {size: [seconds(cache, *asked) for _ in range(rounds)] for size, cache in stores.items()}
            low, high = (statistics.median(taken[size]) for size in SIZES)
            print(
                f"{what}: {high:.2f} s with 1,000 runs, {low:.2f} s with 10: {high / low:.1f} times (aim for pages and commands: at most 2)"
            )


if __name__ == "__main__":
    many_against_few()
