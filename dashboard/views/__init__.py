"""One folder per question, named as in the link; its page.py is what is drawn, the other files are its parts.

A page puts widgets for the settings, asks the engine (`loaders.ask`), and shows the record: the answer as a sentence
(`widgets.answer`), a figure with its caption, a table, and the terminal command that does the same. It may import nothing of
another page, and computes nothing.

To add one: `views/<name>/page.py`, its `st.Page` in `dashboard/app.py`, and its name in `PAGES` of `tests/test_dashboard.py`.

Not called `pages`: Streamlit takes a folder of that name beside its script for pages of its own, and tells the first visitor of a link
that the page does not exist.
"""
