"""One folder per question, named as in the link; its page.py is what is drawn, the other files are its parts.

Not called `pages`: Streamlit takes a folder of that name beside its script for pages of its own, and tells the first visitor of a link
that the page does not exist.
"""
