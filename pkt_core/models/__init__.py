"""Any Hugging Face decoder: loaded, its parts found by running it, its tokenizer made fit for use.

`ref` names a model, `catalog` names pairs, `folder` judges a folder before any library opens it, `loading` is the one door to
transformers, `layout` finds blocks, norm and head, `sites` names places inside a block, `norms` takes the final norm apart,
`tokenizer` and `vocabulary` are about tokens, `shape` knows sizes without weights, `pool` keeps models loaded between uses.

No code of a model's repository is run and no pickle is read. A refusal is a ModelError in one sentence.

To add a pair to the catalogue: a `preset` in `catalog.py`. An architecture needs no entry: `layout` checks any decoder by what its
modules do; where one fails, add a fake of it to `tests/fakes.py` first.
"""
