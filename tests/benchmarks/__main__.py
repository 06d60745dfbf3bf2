"""Speed as ratios measured side by side in one run: `make bench`. Not part of the tests: a loaded machine would fail them.

Each line alternates the two sides and compares their medians, so that a slow moment hits both.
"""

from __future__ import annotations

import torch

from pkt_core.activations.collect import stream
from pkt_core.alignment.basis import semantic_basis
from pkt_core.base.progress import silent
from pkt_core.data.prompts import load_prompts
from pkt_core.models.catalog import demo_pair
from pkt_core.models.loading import LoadedModel, load
from pkt_core.studies.comparison.recipe import Recipe
from pkt_core.studies.comparison.states import block_sites, read_both
from tests.benchmarks import grids, pages, stores, transfers
from tests.benchmarks.timing import ratio


def bare_forward(loaded: LoadedModel, texts: list[str], batch: int = 16) -> None:
    """What no comparison can avoid: the model over the texts, nothing recorded."""
    with torch.no_grad():
        for start in range(0, len(texts), batch):
            encoded = loaded.tokenizer(texts[start : start + batch], return_tensors="pt", padding=True)
            loaded.model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"])


def main() -> None:
    torch.manual_seed(0)
    grids.against_libraries()
    grids.growth()
    grids.memory()
    pair = demo_pair()
    teacher, student = load(pair.teacher), load(pair.student)
    texts = load_prompts("general").sample(512, 0)
    recipe = Recipe(permutations=20)

    def both_forward() -> None:
        bare_forward(teacher, list(texts.texts))
        bare_forward(student, list(texts.texts))

    ratio(
        "Whole layer grid (512 prompts, 20 permutations) against two bare forward passes",
        lambda: read_both(teacher, student, texts, recipe, silent),
        both_forward,
        aim="(aim: at most 1.2)",
    )
    ratio(
        "Recording all block outputs of the teacher against its bare forward pass",
        lambda: [None for _ in stream(teacher, texts.texts, block_sites(teacher, "block_out"), "mean")],
        lambda: bare_forward(teacher, list(texts.texts), 32),
    )
    head = torch.randn(8000, 1024)
    ratio(
        "Semantic bases of an 8000 x 1024 head through torch.linalg.pinv against ours",
        lambda: torch.linalg.pinv(head),
        lambda: semantic_basis(head),
        repeats=3,
        aim="(aim: at least 3)",
    )
    transfers.against_plain_fine_tuning(teacher, student)
    pages.against_a_bare_page()
    stores.many_against_few()


if __name__ == "__main__":
    main()
