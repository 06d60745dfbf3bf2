"""A process of its own that computes what pages ask for, so that no click waits for a computation or ends one.

`registry` lists what can be asked: where each function lives, what it is about (a pair, a run, a plan) and the record of its answer;
`client` is the dashboard's side (lanes, progress, stopping), `worker` the other; `functions` holds the few that put several of
the core's together. Requests and answers are JSON, one line each.

To serve a function: a line in `FUNCTIONS`, and its record in `RECORDS`.
"""
