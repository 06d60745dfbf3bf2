"""Standard benchmarks through lm-evaluation-harness, on a run's models and on further runs.

`tasks` finds tasks and fixes the protocol, `local_tasks` reads items from local files, `asking` measures one model on one task, `lines`
compares several models' answers, `board` connects these to a run and to the store, `jobs` executes a page's request; `record` holds the
results (Board, Line, Asked, Result, Protocol), which `figures` and `text` show. Generated code runs in `sandbox` only, through
`code_judge`.

Scores of right or wrong items are shares, 0..1; differences are paired, on the same items; p-values are corrected by Holm's rule.

A new benchmark needs no code: any task of the harness is used by its name, and a .jsonl or .csv of prompt, answer and optional
choices by its path. To add a field to a result: `record.py`, where it is filled (`asking.py` or `lines.py`), and where it
is shown; raise `VERSION` in `board.py` if stored answers lack it.
"""
