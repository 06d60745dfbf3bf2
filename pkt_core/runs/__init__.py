"""Runs: self-describing folders, their status, their queue, and the trained student.

`folder` is a run on disk (plan.json, status.json, events.jsonl, results.json, student/), `files` what its files must look like,
`status` how far it is and whether its process lives, `index` a list of a thousand runs that opens none, `queue` what waits and the one
worker, `student` the trained student (`open_trained`, the only way to it).

A run is written by one process and read by any. What another version wrote is read, or refused in one sentence.

To add a file to a run: its name, shape and reader in `folder.py` and `files.py`, written whole or not at all. Called as a function
it is `pkt_core.runs()`.
"""

import sys

from pkt_core.base.rooms import CallableRoom

sys.modules[__name__].__class__ = CallableRoom
