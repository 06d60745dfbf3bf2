"""One package per research question about a pair or a run; each holds its result from the numbers to the sentence.

`record.py` the result as frozen dataclasses, no torch; `compute.py` the public function, store inside; `figures.py` record to
Plotly; `text.py` record to answer, captions and tables. A study imports `comparison` and the rooms below, no other study.

To add one: a package with these four files; its functions in `FUNCTIONS` and their records in `RECORDS` of
`dashboard/engine/registry.py`; a page `dashboard/views/<name>/page.py` and its `st.Page` in `dashboard/app.py`; its name in
`tests/test_layering.py`. To add a field to a result: its record with a docstring, where it is computed, where it is shown; raise
the version constant of `compute.py` if stored results lack it.
"""
