"""One folder per question, named as in the link; its page.py is what is drawn, the other files are its parts."""
