"""Writing in batches and by chance: equal to one by one, hand values of nucleus sampling, shared chance, streamed rows."""

from collections import Counter

import fakes
import pytest
import recorded_studies
import torch
from made_runs import made_run
from torch.testing import assert_close

from pkt_core.base.records import from_json, to_json
from pkt_core.data.prompts import pasted
from pkt_core.errors import PlanError, PromptError, StoreError
from pkt_core.evaluation.generate import Sampling, chances, continuations, drawn, written
from pkt_core.studies.generations import compute as generations_compute
from pkt_core.studies.generations.compute import writing
from pkt_core.studies.generations.record import (
    Cell,
    Greedy,
    PickedCell,
    PickedContinuations,
    PickedTokens,
    RestrictedCell,
    Sampled,
    Writing,
)
from pkt_core.studies.generations.text import marked_words

PROMPTS = ["Paris is a", "the", "numbers such as 1 2", "the quick brown fox jumps over", "a language model reads"]


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "gpt_neox", "gemma3"])
def test_a_batch_writes_what_each_prompt_alone_would(tmp_path, family):
    model = fakes.loaded(tmp_path, family)
    together = written(model, PROMPTS, new_tokens=6)
    assert together == [written(model, [prompt], new_tokens=6)[0] for prompt in PROMPTS]
    assert together == continuations(model, PROMPTS, new_tokens=6)
    how = Sampling(0.9, 0.95, 3)
    sampled = written(model, PROMPTS, new_tokens=6, sampling=how)
    assert sampled == [written(model, [prompt], new_tokens=6, sampling=how)[0] for prompt in PROMPTS]
    assert sampled != together


def test_a_prompt_near_the_end_of_the_context_does_not_cut_the_others_short(tmp_path):
    model = fakes.loaded(tmp_path)
    long = "the " * 30
    n = len(model.tokenizer(long)["input_ids"])
    assert model.context - 6 < n < model.context
    both = written(model, ["Paris is a", long], new_tokens=8)
    assert both == continuations(model, ["Paris is a", long], new_tokens=8)


def test_the_nucleus_has_its_hand_values():
    logits = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64).log()

    def token(chance, how):
        return drawn(logits, torch.tensor([chance], dtype=torch.float64), how).item()

    everything = Sampling(1.0, 1.0, 0)
    assert [token(c, everything) for c in (0.1, 0.49, 0.51, 0.79, 0.81, 0.999)] == [0, 0, 1, 1, 2, 2]
    # top_p 0.6: two tokens, 0.5 and 0.3 of 0.8, so the border is 0.625
    assert [token(c, Sampling(1.0, 0.6, 0)) for c in (0.62, 0.63, 0.999)] == [0, 1, 1]
    assert [token(c, Sampling(1.0, 0.5, 0)) for c in (0.1, 0.999)] == [0, 0]  # half is had by the first alone
    # temperature 0.5 squares: 0.25, 0.09, 0.04 of 0.38, so the first border is 0.6579
    assert [token(c, Sampling(0.5, 1.0, 0)) for c in (0.65, 0.66)] == [0, 1]


def test_draws_follow_the_distribution_and_chance_hangs_on_prompt_and_seed_alone():
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    chance = chances([f"prompt {i}" for i in range(2000)], 1, 0)[:, 0]
    counts = Counter(drawn(p.log().expand(2000, 3), chance, Sampling(1.0, 1.0, 0)).tolist())
    assert_close([counts[i] / 2000 for i in range(3)], p.tolist(), atol=0.04, rtol=0)
    assert torch.equal(chances(["a", "b"], 3, 1)[1], chances(["b"], 3, 1)[0])
    assert not torch.equal(chances(["a"], 3, 1), chances(["a"], 3, 2))


def test_rows_come_as_they_are_written_and_are_kept(tmp_path, monkeypatch):
    run = made_run(tmp_path)
    lines, told = pasted("\n".join(PROMPTS)), []
    monkeypatch.setattr(generations_compute, "AT_ONCE", 2)
    found = writing(run, prompts=lines, new_tokens=4, tell=told.append)
    assert [len(rows) for rows in told] == [2, 2, 1]
    assert [row for rows in told for row in rows] == to_json(found)["rows"]
    assert [row.text for row in found.rows] == PROMPTS
    assert set(told[0][0]) == {"id", "text", "teacher", "before", "after"}
    assert any(row.differs for row in found.rows)
    assert to_json(found.facts) == {"new_tokens": 4, "decoding": "greedy"}
    sampled = writing(run, prompts=lines, new_tokens=4, temperature=0.8, top_p=0.9, seed=5)
    assert to_json(sampled.facts) == {
        "new_tokens": 4,
        "decoding": "sampled",
        "temperature": 0.8,
        "top_p": 0.9,
        "seed": 5,
    }
    assert sampled.rows != found.rows
    monkeypatch.setattr(generations_compute, "written", lambda *_, **__: pytest.fail("written again"))
    assert writing(run, prompts=lines, new_tokens=4) == found
    assert writing(run, prompts=lines, new_tokens=4, temperature=0.8, top_p=0.9, seed=5) == sampled


def test_the_same_student_writes_the_same_by_shared_chance(tmp_path):
    run = made_run(tmp_path, same=True)
    found = writing(run, prompts=pasted("\n".join(PROMPTS)), new_tokens=6, temperature=1.0)
    assert not any(row.differs for row in found.rows)
    assert any(row.before != row.teacher for row in found.rows)


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (Writing, recorded_studies.stored("writing")),
        (PickedContinuations, recorded_studies.stored("picked_continuations")),
        (PickedTokens, recorded_studies.stored("picked_tokens")),
        (PickedCell, recorded_studies.stored("picked_cell")),
        (PickedCell, recorded_studies.stored("picked_cell_restricted")),
    ],
)
def test_what_was_stored_comes_back_as_it_was(kind, stored):
    assert to_json(from_json(kind, stored, "It")) == stored
    with pytest.raises(StoreError, match=f"not a valid {kind.__name__} of this version"):
        from_json(kind, stored | {"rows": [{"id": 1}]}, "It")


def test_sampled_and_greedy_facts_are_told_apart_and_so_are_few_and_many_picked_prompts():
    sampled = {"new_tokens": 4, "decoding": "sampled", "temperature": 0.8, "top_p": 0.9, "seed": 5}
    for facts, kind in ((sampled, Sampled), ({"new_tokens": 4, "decoding": "greedy"}, Greedy)):
        assert type(from_json(Writing, recorded_studies.stored("writing") | {"facts": facts}, "It").facts) is kind
    for name, kind in (("picked_cell", Cell), ("picked_cell_restricted", RestrictedCell)):
        assert type(recorded_studies.recorded(name, PickedCell).facts) is kind


def test_what_cannot_be_written_is_one_sentence(tmp_path):
    run = made_run(tmp_path)
    with pytest.raises(PlanError, match="Got temperature 0"):
        writing(run, prompts=pasted("a"), temperature=0.0)
    with pytest.raises(PlanError, match="Got top_p 1.5"):
        writing(run, prompts=pasted("a"), temperature=1.0, top_p=1.5)
    with pytest.raises(PlanError, match="Got 1000 new tokens"):
        writing(run, prompts=pasted("a"), new_tokens=1000)
    with pytest.raises(PromptError, match="reads at most 64"):
        writing(run, prompts=pasted("word " * 80))


def test_word_differences_are_marked_on_both_sides():
    before, after = marked_words("the cat sat down", "the dog sat")
    assert before == [(False, "the"), (True, "cat"), (False, "sat"), (True, "down")]
    assert after == [(False, "the"), (True, "dog"), (False, "sat")]
    assert marked_words("a b", "a b") == ([(False, "a b")], [(False, "a b")])
    assert marked_words("", "x") == ([], [(True, "x")])
