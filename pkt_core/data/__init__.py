"""Prompts and examples: bundled, from files, from Hugging Face datasets, or pasted.

`prompts` are texts to look at models with, with labels; `examples` are prompt and answer pairs, what a transfer trains on and
a task tests. `row_files` is the one reader of .txt, .jsonl and .csv, strict, and its errors name the line; `prompt_files` keeps uploads under
a name made of their content; `hub_datasets` reads `hf:OWNER/NAME`.

A set has a digest of its content, which is what stored results are named by; its ids are the numbers of its rows.

To add a bundled prompt set: a .jsonl or .txt in `assets/prompts`, named by its file. To add a bundled example set: a function and a
line in `bundled()` of `examples.py`, with a title.
"""
