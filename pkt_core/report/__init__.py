"""A run as one HTML page that opens offline, and as a methods paragraph with references.

`html_page` puts a finished run's figures, tables, controls, recipe and command into one file; `citing` builds the methods paragraph and
the BibTeX of the papers behind it. Figures and sentences come from the studies (`studies/*/figures.py`, `text.py`), so page, app and
report agree; nothing is computed here and no model is loaded.

To add a section: a `Section` in `html_page.page`, whose caption explains how to read it and what would refute it. To add a paper: in
the record of its method.
"""
