"""Prompt files: what is read, and one sentence for each way a file is wrong."""

import pytest

from pkt_core.errors import PromptError
from pkt_core.prompts import PromptSet, bundled, load_prompts, pasted


def test_bundled_sets_load_with_labels():
    assert {"facts", "general"} <= set(bundled())
    facts = load_prompts("facts")
    assert len(facts) > 1000
    assert set(facts.labels) >= {"relation", "known to student"}
    assert all(len(values) == len(facts) for values in facts.labels.values())


def test_digest_and_sample_depend_on_texts_and_seed():
    prompts = load_prompts("general")
    assert prompts.sample(10, 0) == prompts.sample(10, 0) != prompts.sample(10, 1)
    assert prompts.sample(10, 0).digest != prompts.digest
    assert PromptSet("a", ("x",)).digest == PromptSet("b", ("x",)).digest


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("empty.txt", " \n\n", "holds no prompt"),
        ("a.jsonl", '{"text": "x"}\nnope\n', "line 2, is not JSON"),
        ("a.jsonl", '{"prompt": "x"}\n', "line 1, has no text field"),
        ("a.csv", "words\nx\n", "expected one called text"),
        ("a.pdf", "x", "expected .txt, .jsonl or .csv"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(PromptError, match=words):
        load_prompts(str(tmp_path / name))


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(PromptError, match="There is no prompt set 'nothing'"):
        load_prompts("nothing")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(PromptError, match="could not be read as UTF-8"):
        load_prompts(str(tmp_path / "a.txt"))
    with pytest.raises(PromptError, match="Got no text"):
        pasted(" \n ")


def test_labels_travel_along(tmp_path):
    (tmp_path / "a.csv").write_text("text,topic\nhello,greeting\nbye,parting\n")
    prompts = load_prompts(str(tmp_path / "a.csv"))
    assert prompts.texts == ("hello", "bye")
    assert prompts.labels == {"topic": ("greeting", "parting")}


def test_a_prompt_keeps_its_id_through_every_sample():
    whole = load_prompts("facts")
    assert whole.ids == tuple(range(len(whole)))
    twice = whole.sample(50, 3).sample(20, 4)
    assert [whole.texts[i] for i in twice.ids] == list(twice.texts)
    assert twice.sample(99, 0).ids == twice.ids
