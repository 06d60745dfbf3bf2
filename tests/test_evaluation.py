"""Behaviour: figures against hand values, and recall that equals what greedy generation writes."""

import math

import fakes
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pkt_core.data.examples import Example, ExampleSet, demo_facts, encode, keep_examples, load_examples
from pkt_core.errors import MeasureError, PromptError
from pkt_core.evaluation.behaviour import answered_right, read_texts, recall
from pkt_core.evaluation.generate import continuations
from pkt_core.evaluation.statistics import paired_change, proportion, ratio, sign_flip
from pkt_core.models.vocabulary import match_vocabularies

TEXTS = ["the quick brown fox", "Paris is a city in France.", "text", "numbers such as 1 2 3"]


def test_recall_is_what_greedy_generation_writes(tmp_path):
    model = fakes.loaded(tmp_path)
    prompts = ["Paris is a", "the quick", "numbers such as 1"]
    written = continuations(model, prompts, new_tokens=3)
    right = [Example(p, w) for p, w in zip(prompts, written, strict=True) if encodable(model, p, w)]
    wrong = [Example(e.prompt, " fox fox") for e in right]
    assert right
    assert all(answered_right(model, ExampleSet("right", tuple(right))))
    assert not any(answered_right(model, ExampleSet("wrong", tuple(wrong))))


def encodable(model, prompt, written):
    """Random models write token sequences that the tokenizer may cut otherwise; those cannot be compared."""
    whole = model.tokenizer(prompt + written)["input_ids"]
    head = model.tokenizer(prompt)["input_ids"]
    return whole[: len(head)] == head and len(whole) == len(head) + 3


def test_bits_per_byte_and_divergence_have_their_hand_values(tmp_path):
    teacher, student = fakes.loaded(tmp_path / "t"), fakes.loaded(tmp_path / "s", seed=1)
    rows = teacher.layout.head.weight.shape[0]
    match = match_vocabularies(teacher.tokenizer, student.tokenizer, rows, rows)
    scores = read_texts({"after": student, "teacher": teacher}, TEXTS, match, batch_size=2)
    bits, kl, same, positions, n_bytes = 0.0, 0.0, 0, 0, 0
    for text in TEXTS:
        ids = student.tokenizer(text)["input_ids"]
        with torch.no_grad():
            z_t, z_s = (m.model(input_ids=torch.tensor([ids])).logits[0] for m in (teacher, student))
        for i in range(len(ids) - 1):
            bits -= math.log2(torch.softmax(z_s[i], -1)[ids[i + 1]])
            p, q = (torch.softmax(z[i][match.teacher_ids], -1).tolist() for z in (z_t, z_s))
            kl += sum(a * math.log2(a / b) for a, b in zip(p, q, strict=True))
            same += p.index(max(p)) == q.index(max(q))
            positions += 1
        n_bytes += len(text.encode()) - len(student.tokenizer.decode(ids[0]).encode())
    found = scores["after"]
    assert_close(found.bits_per_byte().value, bits / n_bytes, atol=1e-4, rtol=1e-4)
    assert_close(found.kl().value, kl / positions, atol=1e-4, rtol=1e-4)
    assert_close(found.top1().value, same / positions)
    assert found.kl().low <= found.kl().value <= found.kl().high
    assert scores["teacher"].kl().value == 0


def test_different_tokenizers_are_not_compared_token_by_token(tmp_path):
    teacher, student = fakes.loaded(tmp_path / "t"), fakes.loaded(tmp_path / "s", texts=["zebra quilt onyx"])
    match = match_vocabularies(teacher.tokenizer, student.tokenizer, 320, 320)
    scores = read_texts({"teacher": teacher, "after": student}, TEXTS, match)
    assert scores["after"].positions == []
    assert scores["after"].bits_per_byte().value > 0


def test_wilson_and_mcnemar_have_published_values():
    found = proportion(81, 263)  # Newcombe 1998, table I: 0.3080, Wilson 0.2553 to 0.3662
    assert_close((found.value, found.low, found.high), (0.3080, 0.2553, 0.3662), atol=5e-5, rtol=0)
    before = [False] * 10 + [True] * 5 + [True] * 20
    after = [True] * 10 + [False] * 5 + [True] * 20
    change = paired_change(before, after)
    assert_close(change.difference, 5 / 35)
    assert_close(change.p_value, 2 * sum(math.comb(15, k) for k in range(6)) / 2**15)
    assert change.low < change.difference < change.high
    same = paired_change(before, before)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_a_change_is_called_better_or_worse_beyond_chance_alone():
    wrong, right = [False] * 20, [True] * 20
    gain, loss = paired_change(wrong, right), paired_change(right, wrong)
    assert [(one.sure, one.better, one.worse) for one in (gain, loss)] == [(True, True, False), (True, False, True)]
    few = paired_change(wrong[:5], right[:5])  # p = 2 / 2^5
    assert (few.difference, few.sure, few.better, few.worse) == (1, False, False, False)


def test_one_item_leaves_open_all_that_a_change_could_be_and_no_item_is_refused():
    for before, after in (([False], [True]), ([True], [False]), ([True], [True])):
        found = paired_change(before, after)
        assert (found.difference, found.low, found.high, found.n) == (after[0] - before[0], -1, 1, 1)
        assert found.p_value == 1
    for pair in (([], []), ([1.0], [2.0])):
        with pytest.raises(MeasureError, match=r"Got \d items for an interval; expected at least 2"):
            ratio(*pair)
    with pytest.raises(MeasureError, match="Got 0 items"):
        paired_change([], [])
    assert sign_flip(np.ones(1), 100) == 1


def test_a_ratio_is_of_sums_and_not_a_mean_of_ratios():
    found = ratio([1, 100], [1, 50])
    assert_close(found.value, 101 / 51)


def test_recall_counts():
    found = recall([True, False, True, True])
    assert (found.n, found.correct, found.rate) == (4, 3, 0.75)


def test_demo_facts_are_split_and_their_prior_is_low():
    sets = demo_facts()
    assert list(sets) == ["demo/known-seen", "demo/known-unseen", "demo/unknown-seen", "demo/unknown-unseen"]
    known = {(e.prompt, e.answer) for e in sets["demo/known-seen"].items}
    assert not known & {(e.prompt, e.answer) for e in sets["demo/unknown-seen"].items}
    for examples in sets.values():
        assert 0 < examples.prior() < 0.1
        assert all(e.answer.startswith(" ") and e.answer.endswith(".") for e in examples.items)


def test_the_prior_is_taken_within_groups():
    items = [Example("p", a, g) for a, g in [("x", "1"), ("x", "1"), ("y", "1"), ("z", "2")]]
    assert ExampleSet("s", tuple(items)).prior() == 3 / 4


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", "", "holds no example"),
        ("a.jsonl", '{"prompt": "x"}', "line 1, lacks a prompt or an answer"),
        ("a.jsonl", '{"prompt": "x", "answer": "y"}\n\n{', "line 3, is not JSON"),
        ("a.csv", "prompt,answer\nx,y\nz,\n", "line 3, lacks a prompt or an answer"),
        ("a.jsonl", '{"prompt": "x", "answer": "y", "choices": ["y"]}', "line 1, has no usable choices"),
        ("a.jsonl", '{"prompt": "x", "answer": "y", "choices": "yz"}', "line 1, has no usable choices"),
        (
            "a.jsonl",
            '{"prompt": "x", "answer": "y", "choices": ["a", " y"]}',
            "line 1, has the answer 'y', which is not one of its choices",
        ),
        ("a.csv", "prompt,answer,choices\nx,y,y|z\nx,y,\n", "line 3, differs from the first item in having choices"),
        ("a.txt", "x", "expected a .jsonl or .csv"),
    ],
)
def test_bad_example_files_are_one_sentence(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(PromptError, match=words):
        load_examples(str(tmp_path / name))
    with pytest.raises(PromptError, match="There is no example set or file 'demo/nothing'"):
        load_examples("demo/nothing")


def test_examples_that_do_not_fit_are_refused():
    with pytest.raises(PromptError, match="reads at most 4"):
        encode(fakes.tokenizer(), [Example("one two three four five", " six")], 4)
    with pytest.raises(PromptError, match="no answer token"):
        encode(fakes.tokenizer(), [Example("one", "")], 64)


def test_csv_examples(tmp_path):
    (tmp_path / "a.csv").write_text("prompt,answer,group\nParis is in, France.,cities\n")
    assert load_examples(str(tmp_path / "a.csv")).items == (Example("Paris is in", " France.", "cities"),)


def test_choices_are_read_from_both_kinds_of_file_and_are_part_of_the_digest(tmp_path):
    (tmp_path / "a.csv").write_text(
        'prompt,answer,choices\nParis is in, France., France.| Peru.\n"two\nlines", b," a| b"\n'
    )
    (tmp_path / "a.jsonl").write_text(
        '{"prompt": "Paris is in", "answer": " France.", "choices": [" France.", " Peru."]}\n'
    )
    found = load_examples(str(tmp_path / "a.csv"))
    assert found.items[0] == Example("Paris is in", " France.", "", (" France.", " Peru."))
    assert found.items[1].prompt == "two\nlines"
    assert load_examples(str(tmp_path / "a.jsonl")).items[0] == found.items[0]
    plain = ExampleSet("x", (Example("Paris is in", " France."),))
    assert plain.digest != ExampleSet("x", found.items[:1]).digest


def test_an_uploaded_task_is_kept_under_a_name_of_its_content():
    data = b'{"prompt": "Paris is in", "answer": " France."}\n'
    name = keep_examples("My task!.jsonl", data)
    assert name == keep_examples("My task!.jsonl", data)
    assert name.startswith("kept:My-task-")
    assert load_examples(name).items == (Example("Paris is in", " France."),)
    for bad in ("kept:../../etc/passwd", "kept:nothing-00.jsonl"):
        with pytest.raises(PromptError, match="no uploaded task"):
            load_examples(bad)
    with pytest.raises(PromptError, match="ends in .txt"):
        keep_examples("a.txt", data)
    with pytest.raises(PromptError, match="expected at most 20"):
        keep_examples("a.jsonl", data * 500_000)
    with pytest.raises(PromptError, match="line 1, is JSON but not an object"):
        keep_examples("a.jsonl", b"[]")


def test_capitals_are_asked_after_two_worked_answers_in_two_forms():
    sets = {name: load_examples(name) for name in ("capitals/seen", "capitals/unseen")}
    seen, unseen = (one.items for one in sets.values())
    assert [item.answer for item in seen] == [item.answer for item in unseen]  # the same facts
    assert len(seen) == len(set(seen)) == 159
    assert not {item.prompt for item in seen} & {item.prompt for item in unseen}
    assert seen[0] == Example(
        "The capital of Italy is Rome. The capital of Japan is Tokyo. The capital of Afghanistan is",
        " Kabul.",
        "capital",
    )
    assert not any(item.answer in item.prompt for item in (*seen, *unseen))
    assert sets["capitals/seen"].prior() < 0.02
