"""Files as people make them: right rows, or one sentence that names the line, whether they hold prompts or examples."""

import csv
import io
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkt_core.benchmarks.local_tasks import find_items
from pkt_core.data.examples import load_examples
from pkt_core.data.hub_datasets import require_rows
from pkt_core.data.prompt_files import keep
from pkt_core.data.prompts import load_prompts, pasted
from pkt_core.data.row_files import MOST_CHARACTERS, read_rows, shown
from pkt_core.errors import BenchmarkError, PromptError

DEEP = "[" * 100_000 + "]" * 100_000


def rows(name, data):
    return read_rows(name, os.path.splitext(name)[1], data if isinstance(data, bytes) else data.encode())


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.csv", "text,topic\na,b\nRome, the old city,c\n", "a.csv, line 3, has 3 cells, but the heading has 2"),
        ("a.csv", "text\nRome, old\n", "line 2, has 2 cells, but the heading has 1"),
        ("a.csv", "text,topic\na,b\nc\n", "line 3, lacks the column 'topic'"),
        ("a.csv", 'text,topic\na,b\n"c,d\ne,f\n', "line 3, begins a quoted cell that is never closed"),
        ("a.csv", 'text,topic\n"two\nlines","c\ne,f\n', "line 3, begins a quoted cell that is never closed"),
        ("a.csv", 'text,topic\n"a ""quote""",b\n"c"" d,e\n', "line 3, begins a quoted cell that is never closed"),
        ("a.csv", 'text\n"a" b\n', "line 2, begins a quoted cell with text behind its closing quote in line 2"),
        ("a.csv", 'text\nx\n"a\nb"c\n', "line 3, begins a quoted cell with text behind its closing quote in line 4"),
        ("a.csv", "text,topic,text\na,b,c\n", "line 1, has two columns called 'text'"),
        ("a.csv", "text,topic,topic\na,b,c\n", "line 1, has two columns called 'topic'"),
        ("a.csv", "text,topic\ra,b\r", "line 1, holds a carriage return that ends no line"),
        ("a.csv", "text,topic\na,b\0\n", "line 2, holds a NUL byte"),
        ("a.csv", b"text\na\nb\xff\n", "line 3, could not be read as UTF-8"),
        ("a.txt", "one\ntwo\rthree\n", "line 2, holds a carriage return that ends no line"),
        ("a.txt", "one\n\ufefftwo\n", "line 2, begins with a byte order mark"),
        ("a.txt", "one\ntwo\n".encode("utf-16"), "it is UTF-16. Save it as UTF-8"),
        ("a.txt", "one\ntwo\n".encode("utf-16-le"), "line 1, holds a NUL byte"),
        ("a.txt", "one\ntwo\n".encode("utf-16-be"), "line 1, holds a NUL byte"),
        ("a.csv", "text\ntwo\n".encode("utf-32"), "it is UTF-32. Save it as UTF-8"),
        ("a.jsonl", '{"text": "a"}\n'.encode("utf-32-le"), "line 1, holds a NUL byte"),
        ("a.txt", "x" * (MOST_CHARACTERS + 1), "line 1, holds a text of 1,000,001 characters"),
        ("a.jsonl", '{"text": "a"}\n{"text": "cut \\ud83d here"}', "line 2, holds half of a surrogate pair"),
        ("a.jsonl", '{"text": "a", "m": {"k": ["\\udc00"]}}', "line 1, holds half of a surrogate pair"),
        ("a.jsonl", '{"text": "a", "\\udc00": 1}', "line 1, holds half of a surrogate pair"),
        ("a.jsonl", '{"text": "a\\u0000b"}', "line 1, holds the character NUL"),
        ("a.jsonl", '{"text": "a", "id": ' + "9" * 5000 + "}", "line 1, holds a number of thousands of digits"),
        ("a.jsonl", '\n{"text": "a", "x": ' + DEEP + "}", "line 2, is nested too deep"),
        ("a.jsonl", '{"text": "a", "x": ' + "[" * 300 + "]" * 300 + "}", "line 1, is nested too deep"),
        ("a.jsonl", '{"text": "a", "text": "b"}', "line 1, names 'text' twice"),
        ("a.jsonl", '{"text": "a"}\n["text"]', "line 2, is JSON but not an object"),
        ("a.jsonl", '{"text": "a"} {"text": "b"}', "line 1, is not JSON (Extra data)"),
        ("a.jsonl", '{"text": "a"}\r{"text": "b"}\r', "line 1, is not JSON (Extra data)"),
        ("a.json", "[]", "ends in .json; expected .txt, .jsonl or .csv"),
    ],
)
def test_what_could_only_be_read_wrongly_is_one_sentence_with_its_line(name, data, words):
    with pytest.raises(PromptError) as told:
        rows(name, data)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    assert str(told.value).startswith(name)


@pytest.mark.parametrize(
    ("name", "data", "right"),
    [
        ("a.csv", "text,topic\na,b,,\n\n , \nc,\n", [(2, {"text": "a", "topic": "b"}), (5, {"text": "c", "topic": ""})]),
        ("a.csv", ",text\n0,a\n1,b\n", [(2, {"text": "a"}), (3, {"text": "b"})]),
        ("a.csv", '\ufefftext\r\n"two\r\nlines"\r\n5" pipe\r\n', [(2, {"text": "two\r\nlines"}), (4, {"text": '5" pipe'})]),
        ("a.csv", "text\n" + "y" * 200_000, [(2, {"text": "y" * 200_000})]),
        ("a.csv", "text\na\u2028b\x0cc\x85d", [(2, {"text": "a\u2028b\x0cc\x85d"})]),
        ("a.txt", "one\u2028one\r\n\r\ntwo\x0ctwo\nthree\x85\x1c\x0bthree", [(1, {"text": "one\u2028one"}), (3, {"text": "two\x0ctwo"}), (4, {"text": "three\x85\x1c\x0bthree"})]),
        ("a.txt", "in\ufeffside", [(1, {"text": "in\ufeffside"})]),
        ("a.jsonl", '{"text": "\\ud83d\\ude00", "x": NaN}', None),
        ("a.jsonl", '{"text": "a\\r\u2028\x85"}\r\n \n{"text": "b", "n": null}', [(1, {"text": "a\r\u2028\x85"}), (3, {"text": "b", "n": None})]),
        ("a.txt", "", []),
        ("a.csv", "text,topic\n", []),
    ],
)  # fmt: skip
def test_what_looks_odd_but_is_clear_is_read_right(name, data, right):
    found = rows(name, data)
    assert found == right if right is not None else found[0][1]["text"] == "\U0001f600"


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), min_size=1).filter(str.strip)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_rows_survive_a_file(pairs, end, marked):
    made = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if any("\r" in text for pair in pairs for text in pair) else csv.QUOTE_MINIMAL
    writer = csv.writer(made, lineterminator=end, quoting=quoting)  # left alone, it leaves a carriage return bare
    writer.writerows([("text", "topic"), *pairs])
    objects = "".join(json.dumps({"text": text, "topic": topic}) + end for text, topic in pairs)
    right = [{"text": text, "topic": topic} for text, topic in pairs]
    mark = b"\xef\xbb\xbf" * marked
    for name, text in (("a.csv", made.getvalue()), ("a.jsonl", objects)):
        found = rows(name, mark + text.encode())
        assert [row for _, row in found] == right
        lines = text.split("\n")
        if name == "a.jsonl":
            assert all(json.loads(lines[number - 1]) == row for number, row in found)


@given(st.lists(TEXTS.filter(lambda text: not set(text) & {"\n", "\r"}), min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_lines_survive_a_file_and_a_text_box(texts, end):
    right = list(dict.fromkeys(texts))
    assert [row["text"] for _, row in rows("a.txt", end.join(texts))] == texts
    assert list(pasted(end.join(texts)).texts) == right


def test_pasted_text_is_read_as_a_file_is():
    assert pasted("one\u2028one\r\ntwo\x0ctwo\n").texts == ("one\u2028one", "two\x0ctwo")
    for text, words in (("a\rb", "carriage return"), ("a\nb\ud83d", "line 2, holds half of a surrogate pair")):
        with pytest.raises(PromptError, match=words):
            pasted(text)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.csv", "prompt,answer\nIn Rome, the river is, Tiber.\n", "line 2, has 3 cells"),
        ("a.csv", 'prompt,answer\na,b\n"c,d\n', "line 3, begins a quoted cell that is never closed"),
        ("a.csv", "prompt,answer\na,b\n\nc,\n", "line 4, lacks a prompt or an answer"),
        ("a.csv", "prompt,answer\n", "holds no example"),
        ("a.jsonl", "", "holds no example"),
        ("a.jsonl", '{"prompt": "a", "answer": "\\ud83d"}', "line 1, holds half of a surrogate pair"),
        ("a.jsonl", '{"prompt": "a", "answer": " b", "x": ' + DEEP + "}", "line 1, is nested too deep"),
        ("a.jsonl", '{"prompt": "a", "answer": 5}', "line 1, lacks a prompt or an answer"),
        ("a.jsonl", '{"prompt": ["a"], "answer": "b"}', "line 1, lacks a prompt or an answer"),
        ("a.jsonl", '{"prompt": "a", "answer": NaN}', "line 1, lacks a prompt or an answer"),
        ("a.jsonl", '{"prompt": "a", "answer": "b", "choices": "bc"}', "line 1, has no usable choices"),
        ("a.jsonl", '{"prompt": "a", "answer": "b", "choices": 0}', "line 1, has no usable choices"),
        ("a.jsonl", '{"prompt": "a", "answer": "b", "choices": {}}', "line 1, has no usable choices"),
        ("a.jsonl", '{"prompt": "a", "answer": "b", "choices": ["b", 5]}', "line 1, has no usable choices"),
        ("a.jsonl", '{"prompt": "a", "answer": "b", "choices": ["c", "d"]}', "line 1, has the answer 'b'"),
        ("a.csv", "prompt,answer,choices\na,b,c|d\n", "line 2, has the answer 'b'"),
    ],
)  # fmt: skip
def test_a_task_is_read_as_prompts_are(tmp_path, name, data, words):
    (tmp_path / name).write_text(data)
    with pytest.raises(PromptError, match=words):
        load_examples(str(tmp_path / name))


def test_a_group_may_be_a_number_and_0_is_one(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "answer": "b", "group": 0, "choices": null}\n')
    assert load_examples(str(tmp_path / "a.jsonl")).items[0].group == "0"


@pytest.mark.parametrize("load", [load_prompts, load_examples])
def test_what_is_no_file_is_one_sentence_and_nothing_is_waited_for(tmp_path, load):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "loop.jsonl").symlink_to(tmp_path / "loop.jsonl")
    (tmp_path / "large.jsonl").touch()
    os.truncate(tmp_path / "large.jsonl", 2**40)
    for name, words in (
        ("pipe", "is a pipe"),
        ("folder", "is a folder"),
        ("loop", "There is no"),
        ("large", "at most"),
    ):
        with pytest.raises(PromptError, match=words):
            load(str(tmp_path / f"{name}.jsonl"))
    for name in ("~nobody-of-this-name/a.jsonl", "a\0.jsonl", "x" * 5000 + ".jsonl"):
        with pytest.raises(PromptError, match="There is no"):
            load(name)


def test_a_label_that_some_rows_lack_is_not_lost(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b", "topic": "art"}\n{"text": "c", "topic": null}\n')
    assert load_prompts(str(tmp_path / "a.jsonl")).labels == {"topic": ("(none)", "art", "(none)")}


def test_a_kept_file_is_called_by_its_own_name(cache):  # noqa: ARG001
    name = keep("my prompts.txt", b"one\ntwo\n")
    assert load_prompts(name).name == "my-prompts"
    assert shown(name) == "my-prompts"
    assert shown("kept:task-0123456789abcdef.jsonl") == "task.jsonl"
    assert shown("/home/me/kept.txt") == "/home/me/kept.txt"


def test_local_items_and_data_folders_are_read_as_strictly(tmp_path):
    """The packages that read them would take the first two cells, or skip the row."""
    config = {"dataset_path": "x/y", "test_split": "test"}
    good, bad = "question,answer\na,b\n", "question,answer\na,b\nIn Rome, the river is, Tiber.\n"
    (tmp_path / "task.csv").write_text(good)
    assert set(find_items("task", config, tmp_path).files) == {"test"}
    require_rows(tmp_path)
    (tmp_path / "task.csv").write_text(bad)
    with pytest.raises(BenchmarkError, match="task.csv, line 3, has 3 cells"):
        find_items("task", config, tmp_path)
    with pytest.raises(PromptError, match="task.csv, line 3, has 3 cells"):
        require_rows(tmp_path)


@pytest.mark.parametrize("kind", ["prompts", "task"])
def test_a_kept_copy_that_is_not_what_was_uploaded_is_refused(kind):
    from pkt_core.base.files import cache_root
    from pkt_core.data.examples import keep_examples, load_examples
    from pkt_core.data.prompt_files import keep
    from pkt_core.data.prompts import load_prompts

    if kind == "prompts":
        name, load = keep("mine.txt", b"one\ntwo\n"), load_prompts
    else:
        name, load = keep_examples("mine.jsonl", b'{"prompt": "a", "answer": " b"}\n'), load_examples
    assert len(load(name)) >= 1
    (path,) = (cache_root() / ("prompts" if kind == "prompts" else "tasks")).iterdir()
    path.write_bytes(path.read_bytes().replace(b"a", b"o").replace(b"e", b"i"))
    with pytest.raises(PromptError, match=r"kept copy mine-\w+\.jsonl is damaged"):
        load(name)
