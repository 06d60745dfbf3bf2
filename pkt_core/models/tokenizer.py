"""A tokenizer is validated once, where it is loaded; callers then encode text without further checks.

It tokenises in bounded time or raises one sentence, does not append an end token, and pads with a token that the model has a
row for.

Not covered: slow tokenizers, which know no character offsets.
"""

from __future__ import annotations

import functools
import json
import signal
import string
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pkt_core.errors import ModelError

SECONDS = 5
"""Of the processor, for cutting the probes below, which takes a usual tokenizer a few milliseconds."""
RUN = 64
PROBES = (
    *("".join([c * RUN, "a!"[c == "a"]]) for c in string.printable),
    *(
        word * RUN + "!?"
        for word in ("word ", "Word", "aB", "a1", "12 ", "a, ", "don't ", "\r\n", " \n", "é", "東", "👩‍🚀", "ß ü ")
    ),
    string.printable,
    "The quick  brown fox jumps over 13 lazy dogs.\n\tIt's 2.5 times as fast; isn't it?\n",
)
CHILD = """
import json, resource, sys
request = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_CPU, (request["seconds"], request["seconds"] + 1))
sys.path[:] = request["path"]
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_str(request["tokenizer"])
for probe in request["probes"]:
    tokenizer.encode(probe)
"""


def made_fit(tokenizer: Any, name: str) -> Any:
    """The same tokenizer, padding on the right. Raises ModelError where it cannot be used."""
    if not tokenizer.is_fast:
        raise ModelError(f"{name} has no fast tokenizer (tokenizer.json), which is needed for character offsets.")
    backend = tokenizer.backend_tokenizer
    rules = {part: part_rules(getattr(backend, part)) for part in ("normalizer", "pre_tokenizer")}
    if '"Regex"' in (rules_json := json.dumps(rules)) and (sentence := too_slow(rules_json)):
        raise ModelError(f"{name} has a tokenizer that {sentence}. Use another copy of its tokenizer.json.")
    tokenizer._encode_plus = told_clearly(tokenizer._encode_plus, name)
    let_go_on(tokenizer, name)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token or tokenizer.convert_ids_to_tokens(0)
    tokenizer.padding_side = "right"
    return tokenizer


def part_rules(part: Any) -> Any:
    """The rules of one part of a tokenizer, from its JSON; None where it has none."""
    return None if part is None else json.loads(part.__getstate__())


def like(part: str, rules: Any) -> Any:
    """The other way round: one part, made from its JSON rules."""
    from tokenizers import Tokenizer

    return getattr(Tokenizer.from_str(bare(**{part: rules})), part)


def bare(**parts: Any) -> str:
    """A tokenizer without a vocabulary, as JSON."""
    empty = dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder"))
    model = {"type": "BPE", "vocab": {}, "merges": []}
    return json.dumps({"version": "1.0", "added_tokens": [], **empty, "model": model, **parts})


@functools.lru_cache(maxsize=64)
def too_slow(rules: str) -> str | None:
    """What is wrong with a tokenizer's regular expressions; None where they cut the probes in time.

    Measured in a separate process: an endless regular-expression search would block this one and cannot be stopped.
    """
    request = json.dumps(
        {"tokenizer": bare(**json.loads(rules)), "probes": PROBES, "path": sys.path, "seconds": SECONDS}
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", CHILD], input=request, capture_output=True, text=True, env={}, check=False
    )
    if done.returncode == -signal.SIGXCPU:
        return f"takes over {SECONDS} seconds on a few short texts because of its regular expressions"
    if done.returncode == 0:
        return None
    last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it was killed")
    return f"fails on a few short texts because of its regular expressions ({last.strip()[:120]})"


def told_clearly(encode: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The same function; where the tokenizer's own library fails or panics, it raises ModelError."""

    @functools.wraps(encode)
    def encoded(*given: Any, **how: Any) -> Any:
        try:
            return encode(*given, **how)
        except BaseException as error:
            if not is_panic(error) and type(error) is not Exception:  # the library raises bare ones
                raise
            raise ModelError(
                f"The tokenizer of {name} failed on a text ({' '.join(str(error).split())[:100]}). Leave that text out, or use "
                "another copy of its tokenizer.json."
            ) from error

    return encoded


def is_panic(error: BaseException) -> bool:
    """Whether a library written in Rust gave up; the class cannot be imported."""
    return type(error).__name__ == "PanicException"


def let_go_on(tokenizer: Any, name: str) -> None:
    """Removes the token that some tokenizers append to every text: a text to be continued must not be ended."""
    if not ends_texts(tokenizer):
        return
    backend = tokenizer.backend_tokenizer
    tokenizer.published = backend.post_processor
    backend.post_processor = like("post_processor", without_ending(part_rules(backend.post_processor)))
    if ends_texts(tokenizer):
        raise ModelError(
            f"{name} has a tokenizer that appends an end token to every text, which could not be removed. Set "
            "add_eos_token to false in its tokenizer_config.json, or use another copy of its tokenizer.json."
        )


def ends_texts(tokenizer: Any) -> bool:
    special = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return bool(special) and bool(special[-1]) and not all(special)


def without_ending(rules: Any) -> Any:
    """What is done after a text is cut, without the tokens put at its end."""
    if rules["type"] == "Sequence":
        return rules | {"processors": [without_ending(one) for one in rules["processors"]]}
    if rules["type"] == "TemplateProcessing":
        return rules | {side: up_to_text(rules[side]) for side in ("single", "pair")}
    if rules["type"] in ("BertProcessing", "RobertaProcessing"):
        token, number = rules["cls"]
        first = {"SpecialToken": {"id": token, "type_id": 0}}
        texts = [{"Sequence": {"id": which, "type_id": i}} for i, which in enumerate("AB")]
        named = {token: {"id": token, "ids": [number], "tokens": [token]}}
        made = {
            "type": "TemplateProcessing",
            "single": [first, texts[0]],
            "pair": [first, *texts],
            "special_tokens": named,
        }
        if rules["type"] == "BertProcessing":
            return made
        kept = {key: rules[key] for key in ("add_prefix_space", "trim_offsets")}
        return {"type": "Sequence", "processors": [{"type": "ByteLevel", "use_regex": True, **kept}, made]}
    return rules


def up_to_text(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = max(i for i, piece in enumerate(pieces) if "Sequence" in piece)
    return pieces[: last + 1]


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Writes the tokenizer as it was published, with the token at the end of texts where it had one."""
    backend, used = tokenizer.backend_tokenizer, tokenizer.backend_tokenizer.post_processor
    backend.post_processor = getattr(tokenizer, "published", used)
    try:
        tokenizer.save_pretrained(folder)
    finally:
        backend.post_processor = used


def pad_within(tokenizer: Any, embed: Any) -> None:
    """Pads with a token that the model has a row for: the values at masked positions do not matter, but must exist."""
    rows = embed.weight.shape[0]
    if tokenizer.pad_token_id >= rows:
        known = [i for i in (tokenizer.eos_token_id, tokenizer.bos_token_id) if i is not None and i < rows]
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(known[0] if known else 0)


def refuse_foreign_tokens(embed: Any, tokenizer: Any, name: str) -> None:
    """Where a tokenizer has tokens beyond the model's rows, a text with one of them raises ModelError, whoever reads it."""
    rows = embed.weight.shape[0]
    if max(tokenizer.get_vocab().values(), default=0) < rows:
        return

    def look(_module: Any, given: Any) -> None:
        if given and int(given[0].max()) >= rows:
            token = int(given[0].max())
            raise ModelError(
                f"A text has the token {tokenizer.convert_ids_to_tokens(token)!r} ({token}), and {name} has rows 0 to {rows - 1}: its "
                "tokenizer has more tokens than its weights. Leave such texts out, or use the tokenizer that belongs to the weights."
            )

    embed.register_forward_pre_hook(look)
