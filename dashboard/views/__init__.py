"""One folder per page, named as in the link; page.py draws it, the other files are its parts.

A page draws controls for the settings, sends a request to the engine (`loaders.ask`), and shows the record: a headline
(`widgets.answer`), a figure with its caption, a table, and the terminal command that does the same. It imports nothing from
another page, and computes nothing.

To add one: `views/<name>/page.py`, its `st.Page` in `dashboard/app.py`, and its name in `PAGES` of `tests/test_dashboard.py`.

Not called `pages`: Streamlit takes a folder of that name beside its script for pages of its own, and shows the first visitor of a link
an error that the page does not exist.
"""
