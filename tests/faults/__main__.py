"""One table of what was tried and what held: `python -m tests.faults --kills 200 --corruptions 3000 --visitors 10`.

Every try is drawn from `--seed`, its kind and its number: `--only KIND --index I` repeats it alone and keeps its folder.
Exit status 1 where anything did not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: threads do not survive a fork
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tests.faults import corruptions, crashpoints, kills, lanes, races, visitors
from tests.faults import ground as grounds
from tests.faults.ground import Ground
from tests.faults.lanes import Kind, Tried
from tests.serving import ROOT, served

LEAST = 15.0  # seconds for each kind, before a bounded time is shared out


def main() -> int:
    given = _given()
    until = time.monotonic() + 60 * given.minutes
    room = Path(tempfile.mkdtemp(prefix="pkt-faults-"))
    kept = given.index is not None
    with contextlib.ExitStack() as stack:
        if not kept:
            stack.callback(shutil.rmtree, room, ignore_errors=True)
        lanes.warm_up()
        home = room / "ground"
        home.mkdir()
        ground = Ground(home)
        kinds = [  # what costs most first: it must not be what a bounded time leaves out
            *kills.kinds(ground, given.kills),
            *corruptions.kinds(ground, given.corruptions),
            *crashpoints.kinds(home, given.cuts),
            *races.kinds(ground, given.races),
            *visitors.kinds(ground, given.visitors, given.wander),
        ]
        if given.only and not (kinds := [kind for kind in kinds if kind.name in given.only]):
            sys.exit(f"There is no kind {', '.join(given.only)}; `--list` names them.")
        if given.list:
            print("\n".join(f"{kind.name:28} {kind.tries:5} tries. {kind.promise}" for kind in kinds))
            return 0
        kinds = [kind for kind in kinds if kind.tries]
        needed = {state for kind in kinds for state in kind.needs}
        grounds.build(ground, needed)
        if "server" in needed:
            (room / "served").mkdir()
            address = stack.enter_context(served(ROOT / "dashboard" / "app.py", ROOT, room / "served"))
            (home / "address.txt").write_text(address)
        print(f"{'kind':30}{'tried':>7}{'held':>7}{'harmless':>10}{'not held':>10}{'seconds':>9}", flush=True)
        total: Counter[str] = Counter()
        broken: list[tuple[Kind, Tried]] = []
        for number, kind in enumerate(kinds):
            began, rest = time.monotonic(), sum(one.tries * one.cost for one in kinds[number:]) or 1.0
            end = min(until, began + max(LEAST, (until - began) * kind.tries * kind.cost / rest))
            indices = list(range(kind.tries)) if given.index is None else [given.index]
            tried = lanes.carry_out(kind, indices, seed=given.seed, lanes=given.lanes, until=end, room=room, keep=kept)
            count = Counter(one.outcome.verdict for one in tried)
            _row(
                kind.name,
                len(tried),
                count,
                time.monotonic() - began,
                "" if len(tried) == len(indices) else f" of {len(indices)}: time was up",
            )
            total += count
            broken += [(kind, one) for one in tried if one.outcome.verdict == "not held"]
            if kept:
                print("\n".join(one.outcome.detail for one in tried), f"\nIts folder: {room}/{kind.name}-{given.index}")
        _row("all", total.total(), total, time.monotonic() - until + 60 * given.minutes)
        _tell(broken, given.seed)
        return int(bool(broken))


def _row(name: str, n: int, count: Counter[str], seconds: float, more: str = "") -> None:
    harmless, bad = count["harmless"], count["not held"]
    print(f"{name:30}{n:7}{n - bad:7}{harmless:10}{bad:10}{seconds:9.0f}{more}", flush=True)


def _tell(broken: list[tuple[Kind, Tried]], seed: int) -> None:
    """What did not hold, and how to see it again."""
    for kind in dict.fromkeys(kind for kind, _ in broken):
        ours = [one for other, one in broken if other is kind]
        print(f"\n{kind.name}: {len(ours)} did not hold. Promise: {kind.promise}.")
        print(f"  Again: python -m tests.faults --only {kind.name} --seed {seed} --index I")
        for one in ours:
            print(f"  {one.index:5}  {one.outcome.detail}")


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="processes killed, all kinds together")
    parser.add_argument("--corruptions", type=int, default=3000, help="files damaged, all kinds together")
    parser.add_argument("--visitors", type=int, default=10, help="sessions at a served app, at once")
    parser.add_argument(
        "--cuts", type=int, default=1000, help="points at which each writing function is cut short, at most"
    )
    parser.add_argument("--races", type=int, default=5, help="rounds of each race for the queue")
    parser.add_argument("--wander", type=int, default=0, help="random steps in Chromium")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="bound of the whole; what it leaves out is told")
    parser.add_argument("--lanes", type=int, default=2, help="tries at once")
    parser.add_argument("--only", action="append", help="one kind; may be repeated")
    parser.add_argument("--index", type=int, help="one try, its folder kept")
    parser.add_argument("--list", action="store_true", help="the kinds and what each promises")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
