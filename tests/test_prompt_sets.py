"""The bundled prompt sets: rebuilt bit for bit, their labels true, and none too long for the demo pair."""

import ast
import hashlib
import importlib.util
import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from pkt_core.data.prompts import assets_folder, bundled, load_prompts
from pkt_core.models.catalog import demo_pair

FOLDER = assets_folder() / "prompts"
WORDNET = Path("/usr/share/wordnet")
# Texts in their order as results were recorded on them.
RECORDED = {"facts": "b7b42d09144049c0", "general": "a1329226c75eec54"}


@pytest.fixture(scope="module")
def builder():
    spec = importlib.util.spec_from_file_location("build_prompts", FOLDER / "build_prompts.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("name", ["facts", "general", "code", "arithmetic"])
def test_a_rebuild_is_the_same_bit_for_bit(builder, name):
    if name == "general" and not WORDNET.is_dir():
        if os.environ.get("CI"):
            pytest.fail("no WordNet found; install Debian's wordnet-base")
        pytest.skip("no WordNet found; install Debian's wordnet-base")
    data = builder.lines(builder.SETS[name](WORDNET)).encode()
    assert data == (FOLDER / f"{name}.jsonl").read_bytes()
    pinned = json.loads((FOLDER / "manifest.json").read_text())[name]
    assert pinned == {"sha256": hashlib.sha256(data).hexdigest(), "prompts": data.count(b"\n"), "bytes": len(data)}


def test_the_card_names_every_set_with_its_size_and_labels():
    card = (FOLDER / "README.md").read_text()
    assert bundled() == ["arithmetic", "code", "facts", "general"]
    for name in bundled():
        prompts = load_prompts(name)
        assert f"| `{name}` | {len(prompts):,} | {', '.join(prompts.labels)} |" in card
        assert prompts.labels


@pytest.mark.parametrize("name", RECORDED)
def test_texts_are_those_that_results_were_recorded_on(name):
    assert load_prompts(name).digest == RECORDED[name]


@pytest.mark.parametrize("name", ["facts", "general", "code", "arithmetic"])
def test_every_prompt_is_there_once_and_fits_the_demo_pair(name):
    texts = load_prompts(name).texts
    assert len(set(texts)) == len(texts) >= 400
    tokenizer = AutoTokenizer.from_pretrained(str(demo_pair().teacher.folder))
    assert max(len(ids) for ids in tokenizer(list(texts))["input_ids"]) <= 150


def construct_of(source):
    """What Python's parser finds, the rarest first."""
    nodes = list(ast.walk(ast.parse(source)))
    named = {n.name for n in nodes if isinstance(n, ast.FunctionDef)}
    used = {n.id for n in nodes if isinstance(n, ast.Name)}
    kinds = [
        ("class", ast.ClassDef),
        ("generator", ast.Yield),
        ("exception", ast.Try),
        ("while loop", ast.While),
        ("comprehension", ast.ListComp | ast.DictComp | ast.SetComp),
        ("for loop", ast.For),
    ]
    if named & used:
        return "recursion"
    return next(name for name, kind in kinds if any(isinstance(n, kind) for n in nodes))


def test_code_is_what_its_labels_say_and_runs():
    prompts = load_prompts("code")
    for source, construct in zip(prompts.texts, prompts.labels["construct"], strict=True):
        assert construct_of(source) == construct, source
        made: dict = {}
        exec(compile(source, "prompt", "exec"), made)
        assert sum(callable(v) for v in made.values()) == 1
    assert set(Counter(zip(prompts.labels["topic"], prompts.labels["construct"], strict=True)).values()) == {10}


def test_sums_are_as_right_or_wrong_as_their_labels_say():
    prompts = load_prompts("arithmetic")
    does = {
        "addition": int.__add__,
        "subtraction": int.__sub__,
        "multiplication": int.__mul__,
        "division": int.__floordiv__,
    }
    for i, text in enumerate(prompts.texts):
        label = {name: values[i] for name, values in prompts.labels.items()}
        a, b, c = map(int, re.findall(r"\d+", text))
        right = does[label["operation"]](a, b)
        assert (c == right) == (label["correct"] == "yes"), text
        assert len(str(right if label["operation"] == "division" else a)) == int(label["digits"])
        assert c == right or abs(c - right) in (1, 2, 10)
    per_cell = Counter(zip(*(prompts.labels[k] for k in ("operation", "digits", "correct", "form")), strict=True))
    assert set(per_cell.values()) == {5}
