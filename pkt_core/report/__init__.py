"""A run as one HTML page that opens offline, and as a paragraph with references for a paper.

`html_page` puts a finished run's figures, tables, controls, recipe and command into one file; `citing` writes the methods paragraph and
the BibTeX of the papers behind it. Figures and sentences are those of the studies (`studies/*/figures.py`, `text.py`), so page, app and
report show the same; nothing is computed here and no model is loaded.

To add a section: a `Section` in `html_page.page`, with the caption that says how to read it and what would refute it. To add a paper:
an entry in `citing.PAPERS`.
"""
