"""The methods, one file each: its settings, its record `METHOD`, its loss and what it puts into the student.

To add one, add a file: a plan made of the groups in `transfer/settings.py` and of settings of its own, and a `Method`
(`transfer/method.py`). Command line, form, families, citing, estimates and model cards find it there; no list names it.
Nothing heavy is imported before a method is carried out.
"""
