"""A separate process that computes results for pages, so that no click waits for a computation or ends one.

`registry` lists the available functions: where each lives, its subject (a pair, a run, a plan) and the record it returns; `client` is
the dashboard's side (lanes, progress, stopping), `worker` the other; `functions` holds the few that combine several of the core's.
Requests and answers are JSON, one line each.

To serve a function: a line in `FUNCTIONS`, and its record in `RECORDS`.
"""
