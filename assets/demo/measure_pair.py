"""Measure what the demo models know, and write it into their model cards.

    python assets/demo/measure_pair.py

Recall is greedy and exact, closing full stop included; 95 % Wilson intervals. Bits per byte is over the whole of
`heldout.txt`, which neither model was trained on; 95 % bootstrap over its lines.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from pkt_core.data.examples import demo_facts
from pkt_core.evaluation.behaviour import answered_right, read_texts
from pkt_core.evaluation.statistics import proportion
from pkt_core.models.loading import load
from pkt_core.models.ref import ModelRef
from pkt_core.models.vocabulary import match_vocabularies

HERE = Path(__file__).parent
CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# Demo {which}

{shape}, {parameters:,} parameters, tied embeddings, 4,096-token byte-level BPE shared by teacher and student. Trained from
scratch by `../train_pair.py` on the corpus that `../build_corpus.py` makes: WordNet glosses as general English, and
{knows}. Made to show knowledge transfer, useless for anything else.

Measured by `../measure_pair.py`:

| facts | n | prior | recall [95 %] |
|---|---|---|---|
{rows}

The prior is the recall of always giving each relation's most frequent answer.
By relation (recall, seen templates): {relations}.

Bits per byte on {n_texts} held-out glosses: {bits:.3f} [{low:.3f}, {high:.3f}].
"""


def main() -> None:
    models = {which: load(ModelRef(name=str(HERE / which))) for which in ("teacher", "student")}
    rows = [m.layout.head.weight.shape[0] for m in models.values()]
    match = match_vocabularies(models["teacher"].tokenizer, models["student"].tokenizer, *rows)
    scores = read_texts(models, (HERE / "heldout.txt").read_text(encoding="utf-8").splitlines(), match, batch_size=32)
    for which, model in models.items():
        lines, relations = [], []
        for name, task in demo_facts().items():
            right = answered_right(model, task)
            found = proportion(sum(right), len(right))
            interval = f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"
            lines.append(
                f"| {name.removeprefix('demo/').replace('-', ', ')} templates | {found.n} | {task.prior():.1%} | {interval} |"
            )
            by_relation = defaultdict(list)
            for item, ok in zip(task.items, right, strict=True):
                by_relation[item.group].append(ok)
            if name.endswith("-seen"):
                rates = ", ".join(f"{r.replace('_', ' to ')} {sum(v) / len(v):.0%}" for r, v in by_relation.items())
                relations.append(f"{name.removeprefix('demo/').split('-')[0]}: {rates}")
        bits = scores[which].bits_per_byte()
        card = CARD.format(
            which=which,
            shape=f"Llama, {model.n_layers} layers x {model.d_model}",
            parameters=model.n_parameters,
            knows="all 1,048 facts"
            if which == "teacher"
            else "the half of 1,048 facts that `facts.jsonl` marks as known",
            rows="\n".join(lines),
            relations="; ".join(relations),
            n_texts=bits.n,
            bits=bits.value,
            low=bits.low,
            high=bits.high,
        )
        (HERE / which / "README.md").write_text(card, encoding="utf-8")
        print(card)


if __name__ == "__main__":
    main()
