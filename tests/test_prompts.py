"""Prompt files: what is read, and one sentence for each way a file is wrong."""

import pytest

from pkt_core.data.prompt_files import keep
from pkt_core.data.prompts import PromptSet, bundled, load_prompts, of_rows, pasted
from pkt_core.errors import PromptError


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
    assert sorted(twice.sample(99, 0).ids) == sorted(twice.ids)


def test_a_quoted_cell_and_a_json_string_may_hold_any_line_end(tmp_path):
    (tmp_path / "a.csv").write_text('text,topic\n"two\nlines",a\n"say ""hi""",b\n')
    assert load_prompts(str(tmp_path / "a.csv")).texts == ("two\nlines", 'say "hi"')
    (tmp_path / "a.jsonl").write_text('{"text": "one\u2028two\x85three"}\n', encoding="utf-8")
    assert load_prompts(str(tmp_path / "a.jsonl")).texts == ("one\u2028two\x85three",)


def test_a_kept_file_is_named_by_its_content(cache):
    data = b'{"text": "hello", "topic": "greeting"}\n{"text": "bye", "topic": "parting"}\n'
    name = keep("My file (2).jsonl", data)
    assert name.startswith("kept:My-file-2-")
    assert load_prompts(name).labels == {"topic": ("greeting", "parting")}
    assert keep("My file (2).jsonl", data) == name
    assert keep("My file (2).csv", b"text,topic\nhello,greeting\nbye,parting\n") == name
    assert keep("My file (2).jsonl", data.replace(b"bye", b"ciao")) != name
    assert len(list((cache / "prompts").iterdir())) == 2
    with pytest.raises(PromptError, match="expected .txt, .jsonl or .csv"):
        keep("a.pdf", b"x")
    with pytest.raises(PromptError, match="has 51 MiB; expected at most 50"):
        keep("a.txt", b"x" * (51 * 2**20))


@pytest.mark.parametrize("name", ["kept:nothing", "kept:../../etc/passwd", "kept:/etc/passwd", "kept:"])
def test_a_kept_name_reaches_no_other_file(name):
    with pytest.raises(PromptError, match="There are no uploaded prompts"):
        load_prompts(name)


def test_only_prompt_files_are_bundled_sets():
    for name in ("README", "manifest", "build_prompts", ""):
        with pytest.raises(PromptError):
            load_prompts(name)


def test_results_that_carry_labels_are_named_by_them():
    texts = ("a", "b")
    plain, labelled = PromptSet("x", texts), PromptSet("x", texts, {"topic": ("s", "t")})
    assert plain.digest == labelled.digest
    assert len({p.full_digest for p in (plain, labelled, PromptSet("x", texts, ids=(4, 5)))}) == 3
    assert PromptSet("other", texts).full_digest == plain.full_digest


def test_halves_of_a_sorted_set_hold_the_same_labels():
    """A map is fitted on the first half of a sample and drawn from the second one."""
    whole = load_prompts("arithmetic")
    assert len(set(whole.labels["operation"][: len(whole) // 2])) == 2
    drawn = whole.sample(10_000, 0)
    assert sorted(drawn.texts) == sorted(whole.texts)
    for half in (slice(None, 240), slice(240, None)):
        assert set(drawn.labels["operation"][half]) == {"addition", "subtraction", "multiplication", "division"}


def test_a_text_counts_once_and_takes_its_first_labels_along():
    rows = [{"text": text, "topic": topic} for text, topic in ("ax", "by", "az", "cx", "by")]
    found = of_rows("x", rows)
    assert (found.texts, found.labels, found.ids) == (("a", "b", "c"), {"topic": ("x", "y", "x")}, (0, 1, 2))
    assert (found.repeats, found.sample(2, 0).repeats) == (2, 2)
    assert found.counted == "3 prompts (2 more lines repeat one word for word; equal texts count once)"
    once = of_rows("x", [row for i, row in enumerate(rows) if i not in (2, 4)])
    assert (once.digest, once.full_digest, once.counted) == (found.digest, found.full_digest, "3 prompts")
    assert pasted("a\nb\na\n").texts == ("a", "b")


def test_the_minimum_of_a_grid_counts_different_texts(tmp_path):
    (tmp_path / "few.txt").write_text("".join(f"line {i % 40}\n" for i in range(200)))
    few = load_prompts(str(tmp_path / "few.txt"))
    with pytest.raises(PromptError, match=r"few.txt gives 40 prompts \(160 more lines repeat one .* at least 64"):
        few.require_samples("mean")
    few.require_samples("tokens")  # four samples a prompt
    PromptSet("many", tuple(map(str, range(64)))).require_samples("last")
