"""Model folders that a stranger made: each loads as it should, or is refused in one sentence before harm is done."""

import ast
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import fakes
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, pre_tokenizers, processors
from transformers import AutoTokenizer

from pkt_core.activations.collect import collect
from pkt_core.alignment.model_maps import match
from pkt_core.errors import ModelError
from pkt_core.evaluation.behaviour import read_texts
from pkt_core.evaluation.generate import continuations, written
from pkt_core.models.catalog import availability, custom_pair
from pkt_core.models.loading import folder_digest, load, load_config, load_tokenizer, load_with_adapter
from pkt_core.models.ref import ModelRef
from pkt_core.models.shape import model_shape
from pkt_core.models.sites import Site
from pkt_core.models.tokenizer import save_tokenizer

ROOT = Path(__file__).parents[1]
WEIGHTS = "model.safetensors"


def ref(folder, **how):
    return ModelRef(name=str(folder), device="cpu", **how)


def told(folder, **how):
    """The one sentence that a folder is refused with."""
    with pytest.raises(ModelError) as caught:
        load(ref(folder, **how))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_weights(folder, change):
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def in_shards(folder, **names):
    """The weights in two files and an index that names them; `names` changes what it names."""
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    files = {"one.safetensors": sorted(weights)[::2], "two.safetensors": sorted(weights)[1::2]}
    for name, keys in files.items():
        save_file({key: weights[key] for key in keys}, folder / name, metadata={"format": "pt"})
    index = {key: names.get(name.split(".")[0], name) for name, keys in files.items() for key in keys}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return folder


# Code


def test_one_place_asks_transformers_and_peft_for_a_model():
    """Only `without_code` is handed a `from_pretrained` or `from_config`; nothing else in the project names one."""
    handed, named = [], []
    for path in [*(ROOT / "pkt_core").rglob("*.py"), *(ROOT / "dashboard").rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ("from_pretrained", "from_config"):
                named.append((path.name, node.lineno, node.attr))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "without_code":
                given = node.args[1]
                assert isinstance(given, ast.Attribute)
                handed.append((path.name, given.lineno, given.attr))
    assert sorted(handed) == sorted(named)
    assert {name for name, _, _ in named} == {"loading.py"}
    assert len(named) == 5


@pytest.mark.parametrize("which", ["config", "tokenizer"])
def test_code_of_a_repository_is_not_run_and_nobody_is_asked(tmp_path, monkeypatch, capsys, which):
    folder = fakes.folder(tmp_path / "m")
    mark = tmp_path / "ran"
    code = "from transformers import {0}\nopen({1!r}, 'w').close()\nclass Own({0}):\n    model_type = 'own'\n"
    if which == "config":
        (folder / "own.py").write_text(code.format("LlamaConfig", str(mark)))
        change_json(folder / "config.json", model_type="own", auto_map={"AutoConfig": "own.Own"})
    else:
        (folder / "own.py").write_text(code.format("PreTrainedTokenizerFast", str(mark)))
        change_json(
            folder / "tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": [None, "own.Own"]}
        )
    answers = io.StringIO("y\n" * 9)
    monkeypatch.setattr(sys, "stdin", answers)
    assert "needs custom code, which is not run" in told(folder)
    if which == "config":
        with pytest.raises(ModelError, match="needs custom code"):
            model_shape(ref(folder))
    assert not mark.exists()
    assert answers.tell() == 0
    assert "Do you wish" not in capsys.readouterr().out
    assert sys.stdin is answers


def test_attention_from_the_hub_is_code_too(tmp_path):
    folder = fakes.folder(tmp_path)
    change_json(folder / "config.json", attn_implementation="somebody/kernel")
    assert "needs custom code (attn_implementation 'somebody/kernel')" in told(folder)
    change_json(folder / "config.json", attn_implementation="eager")
    assert load(ref(folder)).n_layers == 3


def test_the_engine_keeps_its_requests_out_of_reach():
    """A question that a library or a child asks meets an empty input and not the next request."""
    code = """
import subprocess, sys
import dashboard.engine.worker as engine
def answer(function, arguments, progress, tell):
    try:
        said = input()
    except EOFError:
        said = ""
    child = subprocess.run([sys.executable, "-c", "import os, sys; print(sys.stdin.read() + repr(len(os.listdir('/proc/self/fd'))))"], capture_output=True, text=True)
    return {"function": function, "said": said, "child": child.stdout.strip()}
engine.answer = answer
engine.main()
"""
    asked = "".join(json.dumps({"function": name, "arguments": {}}) + "\n" for name in ("first", "y"))
    done = subprocess.run(
        [sys.executable, "-c", code], input=asked, capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    found = [json.loads(line)["result"] for line in done.stdout.splitlines()]
    assert [one["function"] for one in found] == ["first", "y"], done.stderr
    assert [one["said"] for one in found] == ["", ""]
    assert all(one["child"].isdigit() for one in found)


# Weight files


@pytest.mark.parametrize(
    "name",
    [
        "two.bin",
        "../two.safetensors",
        "/two.safetensors",
        "a/../../two.safetensors",
        "out.safetensors",
        7,
        None,
        "loop.safetensors",
    ],
)
def test_an_index_names_only_safetensors_inside_its_folder(tmp_path, name):
    folder = in_shards(fakes.folder(tmp_path / "m"))
    assert load(ref(folder)).n_layers == 3
    shutil.copy(folder / "two.safetensors", tmp_path / "two.safetensors")
    shutil.copy(folder / "two.safetensors", folder / "two.bin")
    (folder / "out.safetensors").symlink_to(tmp_path / "two.safetensors")
    (folder / "loop.safetensors").symlink_to(folder / "loop.safetensors")
    index = folder / "model.safetensors.index.json"
    weights = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": {k: name if v == "two.safetensors" else v for k, v in weights.items()}}))
    with pytest.raises(ModelError, match="names .* as weights; expected .safetensors files inside its folder"):
        load(ref(folder))


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": {}}', "{", "[" * 100_000])
def test_an_index_that_is_none_is_told(tmp_path, content):
    folder = in_shards(fakes.folder(tmp_path))
    (folder / "model.safetensors.index.json").write_text(content)
    assert "is not an index of weights" in told(folder)


def test_a_configuration_cannot_name_weights_elsewhere(tmp_path):
    folder = fakes.folder(tmp_path / "m")
    shutil.move(folder / WEIGHTS, tmp_path / WEIGHTS)
    change_json(folder / "config.json", transformers_weights=f"../{WEIGHTS}")
    assert "expected .safetensors files inside its folder" in told(folder)
    shutil.move(tmp_path / WEIGHTS, folder / "other.safetensors")
    change_json(folder / "config.json", transformers_weights="other.safetensors")
    assert load(ref(folder)).n_layers == 3


@pytest.mark.slow
def test_the_hubs_cache_is_read_though_it_is_made_of_links(tmp_path):
    folder = in_shards(fakes.folder(tmp_path / "m"))
    home = tmp_path / "home" / "hub" / "models--some--body"
    snapshot, blobs = home / "snapshots" / ("abcd" * 10), home / "blobs"
    for made in (snapshot, blobs, home / "refs"):
        made.mkdir(parents=True)
    (home / "refs" / "main").write_text("abcd" * 10)
    for i, path in enumerate(folder.iterdir()):
        shutil.copy(path, blobs / str(i))
        (snapshot / path.name).symlink_to(f"../../blobs/{i}")
    code = """
import sys
from pkt_core.errors import ModelError
from pkt_core.models.loading import load
from pkt_core.models.ref import ModelRef
try:
    print(load(ModelRef(name=sys.argv[1], device="cpu")).digest)
except ModelError as error:
    print(error)
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}

    def loaded(name):
        run = subprocess.run(
            [sys.executable, "-c", code, name], env=environment, capture_output=True, text=True, cwd=ROOT
        )
        return run.stdout

    assert loaded("some/body") == f"some/body@{'abcd' * 10}\n"
    assert len(loaded(str(snapshot)).strip()) == 16
    index = (snapshot / "model.safetensors.index.json").resolve()
    index.write_text(index.read_text().replace("two.safetensors", "two.bin"))
    assert "names 'two.bin' as weights" in loaded("some/body")


def test_weights_that_were_not_downloaded_are_told(tmp_path):
    folder = fakes.folder(tmp_path)
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345678\n")
    assert "model.safetensors is a Git LFS pointer: the file was not downloaded" in told(folder)
    for size in (len(whole) - 1, len(whole) // 2, 2000):
        (folder / WEIGHTS).write_bytes(whole[:size])
        assert "is cut off: it has" in told(folder) or size == 2000
    for content in (b"", b"\x00" * 8, whole[:100], b"<!DOCTYPE html><html>" * 50):
        (folder / WEIGHTS).write_bytes(content)
        assert "Download it again" in told(folder) or not any(content)
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    assert "it has pytorch_model.bin, a pickle, which is never opened" in told(folder)
    os.mkfifo(folder / WEIGHTS)
    assert "not a regular file" in told(folder)
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).write_bytes(whole)
    in_shards(folder)
    (folder / "two.safetensors").unlink()
    assert "two.safetensors is missing" in told(folder)


def test_weights_of_another_size_or_number_than_the_configuration_are_told(tmp_path):
    folder = fakes.folder(tmp_path / "resized")

    def resize(weights):
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            weights[name] = torch.cat([weights[name], weights[name][:4]])

    change_weights(folder, resize)
    assert "holds lm_head.weight of 324 x 32 where config.json gives 320 x 32 (1 more differ)" in told(folder)
    folder = fakes.folder(tmp_path / "more")
    change_json(folder / "config.json", num_hidden_layers=2)
    assert "has weights that config.json does not describe: model.layers.2." in told(folder)
    change_json(folder / "config.json", num_hidden_layers=4)
    assert "lacks weights for model.layers.3." in told(folder)
    change_json(folder / "config.json", num_hidden_layers=3, hidden_size=2**19)  # terabytes, were they drawn at random
    assert "lacks weights for most of what config.json describes" in told(folder)


def test_constants_of_older_files_are_no_weights_left_out(tmp_path):
    folder = fakes.folder(tmp_path, "gpt2")
    before = load(ref(folder)).model.transformer.h[1].attn.c_attn.weight

    def older(weights):
        for layer in range(3):
            weights[f"transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 64, 64)
            weights[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)

    change_weights(folder, older)
    assert torch.equal(load(ref(folder)).model.transformer.h[1].attn.c_attn.weight, before)


# Numbers


def test_weights_that_are_not_numbers_are_not_called_an_encoder(tmp_path):
    folder = fakes.folder(tmp_path / "nan")
    change_weights(folder, lambda w: w["model.embed_tokens.weight"].__setitem__((300, 3), float("nan")))
    for dtype in ("float32", "float16"):
        sentence = told(folder, dtype=dtype)
        assert "weights that are not numbers (NaN or infinite), first in model.embed_tokens.weight" in sentence
        assert "encoder" not in sentence
    folder = fakes.folder(tmp_path / "wide")
    change_weights(folder, lambda w: w["model.layers.0.mlp.down_proj.weight"].mul_(3e7))
    sentence = told(folder, dtype="float16")
    assert "overflow float16" in sentence
    assert "bfloat16 or float32" in sentence
    assert load(ref(folder, dtype="float32")).n_layers == 3


def test_states_that_float16_cannot_hold_are_told(tmp_path):
    folder = fakes.folder(tmp_path)

    def larger(weights):
        weights["model.layers.0.mlp.down_proj.weight"] *= 3e4
        weights["model.layers.0.mlp.up_proj.weight"] *= 3e4

    change_weights(folder, larger)
    assert "because float16 is too narrow for them. Load it in bfloat16 or float32" in told(folder, dtype="float16")
    assert load(ref(folder, dtype="bfloat16")).n_layers == 3


def test_states_that_overflow_on_some_prompts_only_are_told(tmp_path):
    """The few tokens that a model is tried on need not show it."""
    loaded = fakes.loaded(tmp_path)
    site = [Site("block_out", 1)]
    assert collect(loaded, ["a fox"], site, "mean").isfinite().all()
    [token] = loaded.tokenizer("~")["input_ids"]
    loaded.layout.embed.weight.data[token] = float("inf")
    with pytest.raises(
        ModelError, match="gives states that are not numbers in float32 on some of these prompts: 'a fox'"
    ):
        collect(loaded, ["a fox", "a ~"], site, "mean")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_hidden_layers", 10**9),
        ("num_hidden_layers", 10**400),
        ("num_hidden_layers", 0),
        ("num_hidden_layers", "many"),
        ("num_hidden_layers", 2.5),
        ("hidden_size", 10**12),
        ("vocab_size", 10**15),
        ("vocab_size", -1),
        ("num_attention_heads", 10**9),
        ("intermediate_size", 10**13),
        ("max_position_embeddings", 10**14),
        ("num_labels", 10**9),
        ("text_config", {"num_hidden_layers": 10**9}),
    ],
)
def test_numbers_that_no_model_has_are_refused_from_the_numbers_alone(tmp_path, key, value):
    folder = fakes.folder(tmp_path)
    assert model_shape(ref(folder)).n_layers == 3
    change_json(folder / "config.json", **{key: value})
    for look in (load, load_config, model_shape, load_tokenizer):
        began = time.monotonic()
        with pytest.raises(ModelError, match=r"config\.json; (no model has more|expected a whole number)"):
            look(ref(folder))
        assert time.monotonic() - began < 1
    assert "config.json" in availability(custom_pair(str(folder), str(folder)))


def test_a_configuration_that_cannot_be_read_is_told(tmp_path):
    folder = fakes.folder(tmp_path)
    for content, sentence in (
        ("{", "is not readable JSON"),
        ("[" * 100_000, "is not readable JSON"),
        ("[]", "holds a list"),
        ("\xff", "JSON"),
    ):
        (folder / "config.json").write_bytes(content.encode("latin-1"))
        assert sentence in told(folder)
        with pytest.raises(ModelError, match=sentence):
            folder_digest(folder)
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    assert "expected a regular file" in told(folder)


def test_a_tokenizer_that_is_missing_or_cut_off_is_told(tmp_path):
    folder = fakes.folder(tmp_path)
    path = folder / "tokenizer.json"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    assert "has a JSON file that is damaged or cut off" in told(folder)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345678\n")
    assert "tokenizer.json is a Git LFS pointer" in told(folder)
    path.unlink()
    assert "has no readable tokenizer" in told(folder)
    path.write_text(whole)
    assert load(ref(folder)).n_layers == 3


def test_files_that_are_not_read_may_be_pointers(tmp_path):
    folder = fakes.folder(tmp_path)
    (folder / "pytorch_model.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:01\nsize 1\n")
    assert load(ref(folder)).n_layers == 3


def test_a_quantised_model_is_told(tmp_path):
    folder = fakes.folder(tmp_path)
    change_json(folder / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    assert "is quantised (bitsandbytes); expected whole weights" in told(folder)
    with pytest.raises(ModelError, match="is quantised"):
        model_shape(ref(folder))


@pytest.mark.parametrize("with_config", [False, True])
def test_an_adapter_is_no_model(tmp_path, with_config):
    folder = fakes.folder(tmp_path)
    if not with_config:
        (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "some/base", "peft_type": "LORA"})
    )
    assert "is an adapter of some/base, not a model. Merge it into its base" in told(folder)
    assert "is an adapter of some/base" in availability(custom_pair(str(folder), str(folder)))


def test_a_pickled_adapter_is_never_opened(tmp_path):
    fakes.folder(tmp_path / "base")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "target_modules": ["q_proj"]})
    )
    torch.save({}, tmp_path / "adapter" / "adapter_model.bin")
    with pytest.raises(ModelError, match="there is no adapter_model.safetensors"):
        load_with_adapter(ref(tmp_path / "base"), tmp_path / "adapter")


# Tokenizers


def test_a_pad_token_beyond_the_rows_changes_nothing(tmp_path):
    good = fakes.folder(tmp_path / "good")
    other = fakes.folder(tmp_path / "other")
    tokenizer = fakes.tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert tokenizer.pad_token_id == 320
    tokenizer.save_pretrained(other)
    texts = ["a fox", "the quick brown fox jumps over the lazy dog", "Rome"]
    site = [Site("block_out", 2)]
    states = [collect(load(ref(folder)), texts, site, "mean") for folder in (good, other)]
    assert torch.equal(*states)
    said = [written(load(ref(folder)), texts, new_tokens=4) for folder in (good, other)]
    assert said[0] == said[1]


def test_a_token_beyond_the_rows_is_named(tmp_path):
    folder = fakes.folder(tmp_path)
    tokenizer = fakes.tokenizer()
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    loaded = load(ref(folder))
    site = [Site("block_out", 2)]
    assert collect(loaded, ["a fox"], site, "mean").shape == (1, 1, 32)
    for read in (lambda text: collect(loaded, [text], site, "mean"), lambda text: continuations(loaded, [text])):
        with pytest.raises(ModelError, match=r"the token '<new>' \(320\), and .* has rows 0 to 319"):
            read("a <new> fox")


def ended(kind, tokenizer):
    """Makes a tokenizer put a token before each text and another at its end."""
    bos, eos = ("<bos>", 1), ("<eos>", 2)
    template = processors.TemplateProcessing(
        single="<bos> $A <eos>", pair="<bos> $A <eos> $B <eos>", special_tokens=[bos, eos]
    )
    tokenizer.backend_tokenizer.post_processor = {
        "template": template,
        "sequence": processors.Sequence([processors.ByteLevel(trim_offsets=False), template]),
        "bert": processors.BertProcessing(eos, bos),
        "roberta": processors.RobertaProcessing(eos, bos, trim_offsets=False, add_prefix_space=False),
    }[kind]
    return tokenizer


@pytest.mark.parametrize("kind", ["template", "sequence", "bert", "roberta"])
def test_a_text_that_is_to_go_on_is_not_ended(tmp_path, kind):
    plain, other = (fakes.folder(tmp_path / name) for name in ("plain", "other"))
    first = processors.TemplateProcessing(single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", 1)])
    tokenizer = fakes.tokenizer()
    tokenizer.backend_tokenizer.post_processor = first
    tokenizer.save_pretrained(plain)
    ended(kind, fakes.tokenizer()).save_pretrained(other)
    text = "the quick brown fox"
    assert AutoTokenizer.from_pretrained(other)(text)["input_ids"][-1] == 2  # else nothing is tried here
    one, two = load(ref(plain)), load(ref(other))
    ids = [loaded.tokenizer(text, return_offsets_mapping=True) for loaded in (one, two)]
    assert ids[0]["input_ids"] == ids[1]["input_ids"]
    assert ids[0]["offset_mapping"] == ids[1]["offset_mapping"]
    assert ids[1]["input_ids"][0] == 1
    assert continuations(one, [text]) == continuations(two, [text])
    scores = [read_texts({"teacher": m}, [text], match(m, m))["teacher"] for m in (one, two)]
    assert scores[0] == scores[1]
    save_tokenizer(two.tokenizer, tmp_path / "saved")  # what is handed on ends texts as it did
    assert AutoTokenizer.from_pretrained(tmp_path / "saved")(text)["input_ids"][-1] == 2
    assert two.tokenizer(text)["input_ids"] == ids[0]["input_ids"]


def split_by(folder, pattern):
    tokenizer = fakes.tokenizer()
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.save_pretrained(folder)


@pytest.mark.slow
def test_regular_expressions_of_a_tokenizer_are_tried_with_a_time_limit(tmp_path):
    folder = fakes.folder(tmp_path)
    split_by(folder, r"'s|\p{L}+|\p{N}{1,3}|\s+(?!\S)|\s+|[^\s\p{L}\p{N}]+")
    assert load_tokenizer(ref(folder))("a fox")["input_ids"]
    split_by(folder, r"(a+)+$")
    with pytest.raises(
        ModelError, match="has a tokenizer that fails on a few short texts because of its regular expressions"
    ):
        load_tokenizer(ref(folder))
    split_by(folder, r"(\w|\w){20}$")
    began = time.monotonic()
    with pytest.raises(ModelError, match="has a tokenizer that takes over 5 seconds on a few short texts"):
        load_tokenizer(ref(folder))
    assert time.monotonic() - began < 20


def test_a_tokenizer_that_panics_on_a_text_is_one_sentence(tmp_path):
    folder = fakes.folder(tmp_path)
    split_by(folder, r"(?<=zq)(\w+)+$")  # no probe has that
    tokenizer = load_tokenizer(ref(folder))
    assert tokenizer("a fox")["input_ids"]
    with pytest.raises(ModelError, match=r"The tokenizer of .* failed on a text"):
        tokenizer("zq" + "a" * 60 + "!")


def test_every_end_of_a_generation_config_ends_a_text(tmp_path):
    folder = fakes.folder(tmp_path)
    text = "the quick brown fox"
    one = load(ref(folder))
    assert one.ends == (2,)
    ids = one.tokenizer(text, return_tensors="pt")["input_ids"]
    steps = one.model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None)[0, ids.shape[1] :].tolist()
    at = next(i for i, token in enumerate(steps) if i and token not in steps[:i])
    change_json(folder / "generation_config.json", eos_token_id=[2, steps[at]])
    two = load(ref(folder))
    assert two.ends == tuple(sorted({2, steps[at]}))
    for say in (continuations, written):
        assert say(one, [text], new_tokens=12) == [one.tokenizer.decode(steps, skip_special_tokens=True)]
        assert say(two, [text], new_tokens=12) == [one.tokenizer.decode(steps[:at], skip_special_tokens=True)]
    assert one.digest != two.digest
    (folder / "generation_config.json").unlink()  # then transformers takes a default that may be any token
    assert load(ref(folder)).ends == (2,)


@pytest.mark.parametrize(
    "name",
    [
        "vocab.json",
        "merges.txt",
        "vocab.txt",
        "tokenizer.model",
        "spiece.model",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "additional_chat_templates/tools.jinja",
        "tokenizer_config.json",
    ],
)
def test_the_digest_covers_every_file_that_says_how_text_is_cut(tmp_path, name):
    folder = fakes.folder(tmp_path)
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    digests = [folder_digest(folder)]
    for content in ("{}", '{"a": 1}'):
        path.write_text(content)
        digests.append(folder_digest(folder))
    assert len(set(digests)) == 3
    (folder / "README.md").write_text("no part of the model")
    assert folder_digest(folder) == digests[-1]


def test_the_digest_of_a_bundled_model_is_that_of_the_recorded_results():
    results = json.loads((ROOT / "assets" / "recorded" / "demo-ours" / "results.json").read_text())
    assert folder_digest(ROOT / "assets" / "demo" / "teacher") == results["teacher_digest"]


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer.json", "chat_template.jinja", "config.json"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "loop"])
def test_what_is_no_file_is_told_and_never_waited_for(tmp_path, name, kind):
    folder = fakes.folder(tmp_path)
    (folder / name).unlink(missing_ok=True)
    {
        "pipe": os.mkfifo,
        "folder": os.mkdir,
        "loop": lambda path: os.symlink(path, path),
    }[kind](folder / name)
    assert f"{name} is not a file" in told(folder)
