"""Datasets by name, on local folders through the very code that streams from the hub, and one sentence for each failure."""

import json
import sys

import pytest

from pkt_core.base import hub
from pkt_core.data import hub_datasets
from pkt_core.data.hub_datasets import Source, cut, dataset_rows, source_of
from pkt_core.data.prompts import load_prompts
from pkt_core.errors import PromptError

ROWS = [
    {
        "id": i,
        "sentence": f"sentence {i} of the set",
        "label": i % 3,
        "topic": ["art", "sport"][i % 2],
        "score": i / 7,
        "essay": "long " * 40,
        "fine": i % 2 == 0,
        "maybe": None if i == 3 else "y",
    }
    for i in range(30)
]


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "set"
    made.mkdir()
    (made / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (made / "test.jsonl").write_text("".join(json.dumps(row | {"sentence": "a test"}) + "\n" for row in ROWS[:4]))
    return made


def test_text_and_labels_are_found(folder):
    prompts = load_prompts(f"hf:{folder}")
    assert prompts.texts == tuple(row["sentence"] for row in ROWS)
    assert set(prompts.labels) == {"label", "topic", "fine", "maybe"}  # no id, no fraction, no long text
    assert prompts.labels["topic"][:3] == ("art", "sport", "art")
    assert prompts.labels["maybe"][3] == "(none)"


def test_split_rows_column_and_cut_are_chosen_and_change_the_digest(folder):
    plain = load_prompts(f"hf:{folder}")
    test = load_prompts(f"hf:{folder},split=test")
    assert (test.texts, test.repeats) == (("a test",), 3)
    assert load_prompts(f"hf:{folder},rows=7").texts == plain.texts[:7]
    assert load_prompts(f"hf:{folder},text=topic").texts[:2] == ("art", "sport")
    assert load_prompts(f"hf:{folder},cut=12").texts[0] == "sentence 0"
    names = [f"hf:{folder}{more}" for more in ("", ",split=test", ",rows=7", ",text=topic", ",cut=12")]
    assert len({load_prompts(name).digest for name in names}) == 5


def test_classes_have_their_names_and_configurations_are_named(tmp_path):
    import datasets

    features = datasets.Features(
        {"question": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    made = datasets.Dataset.from_dict({"question": ["a b", "c d", "e f"], "label": [0, 1, 1]}, features=features)
    for config in ("north", "south"):
        (tmp_path / "two" / config).mkdir(parents=True)
        made.to_parquet(str(tmp_path / "two" / config / "validation.parquet"))
    (tmp_path / "two" / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(
            f"- config_name: {c}\n  data_files:\n  - split: validation\n    path: {c}/*.parquet\n"
            for c in ("north", "south")
        )
        + "---\n"
    )
    prompts = load_prompts(f"hf:{tmp_path / 'two'},config=south")
    assert prompts.texts == ("a b", "c d", "e f")
    assert prompts.labels == {"label": ("no", "yes", "yes")}
    with pytest.raises(PromptError, match=r"several configurations \(north, south\); name one of them with config="):
        load_prompts(f"hf:{tmp_path / 'two'}")
    with pytest.raises(PromptError, match=r"several configurations \(north, south\)"):
        load_prompts(f"hf:{tmp_path / 'two'},config=west")


@pytest.mark.parametrize(
    ("spelling", "words"),
    [
        ("hf:squad", "expected hf:OWNER/NAME such as"),
        ("hf:", "expected hf:OWNER/NAME such as"),
        ("hf:a/b/c", "expected hf:OWNER/NAME such as"),
        ("hf:a/b,rows=0", "expected a whole number of 1 or more"),
        ("hf:a/b,rows=many", "got rows=many"),
        ("hf:a/b,colour=red", "expected config=, split=, text=, rows= or cut="),
        ("hf:a/b,split=", "expected config=, split="),
        ("hf:./nowhere", "There is no folder ./nowhere"),
    ],
)
def test_a_wrong_spelling_is_one_sentence(spelling, words):
    with pytest.raises(PromptError, match=words):
        load_prompts(spelling)


def test_wrong_split_and_column_name_those_that_there_are(folder):
    with pytest.raises(PromptError, match="has the splits train, test; got dev"):
        load_prompts(f"hf:{folder},split=dev")
    with pytest.raises(PromptError, match="text columns sentence, topic, essay, maybe; got score"):
        load_prompts(f"hf:{folder},text=score")
    rows = [{"left": "a", "right": "b"}] * 3
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "test.jsonl").unlink()
    with pytest.raises(PromptError, match="text columns left, right; name the column of prompts with text="):
        load_prompts(f"hf:{folder}")


def test_spelling_and_source_are_two_ways_of_one_thing():
    source = Source("owner/name", "v1", "c", "test", "q", 9, 80)
    assert source_of(str(source)) == source
    assert str(Source("owner/name")) == "hf:owner/name"
    assert source_of("hf:owner/name@main, split=test").revision == "main"
    assert [cut("one two three", n) for n in (None, 99, 8, 7, 6, 2)] == ["one two three"] * 2 + ["one two"] * 2 + [
        "one",
        "on",
    ]


class Hub:
    """Stands in for the hub: a dataset of one commit, whose rows are those of a local folder."""

    def __init__(self, monkeypatch, folder):
        self.monkeypatch, self.commit, self.streams = monkeypatch, "a" * 40, 0
        real = hub_datasets.streamed

        def streamed(source):
            self.streams += 1
            assert source.revision == self.commit
            return real(Source(str(folder), split=source.split, rows=source.rows))

        monkeypatch.setattr(hub_datasets, "streamed", streamed)
        monkeypatch.setattr(hub_datasets, "commit_of", lambda _source: self.commit)
        self.reachable(True)

    def reachable(self, there):
        self.monkeypatch.setattr(hub, "hub_reachable", lambda: there)


def test_rows_of_the_hub_are_kept_under_their_commit(monkeypatch, folder, cache):
    there = Hub(monkeypatch, folder)
    first = load_prompts("hf:owner/name,split=test")
    assert first.name == "hf:owner/name@aaaaaaaaaaaa,split=test"
    assert load_prompts("hf:owner/name,split=test") == first
    assert there.streams == 1
    assert load_prompts("hf:owner/name,split=train").digest != first.digest
    (folder / "test.jsonl").write_text(json.dumps({"sentence": "a new version"}) + "\n")
    there.commit = "b" * 40
    assert load_prompts("hf:owner/name,split=test").texts == ("a new version",)
    assert len(list((cache / "prompts").iterdir())) == 3
    there.reachable(False)  # what was read last is still there
    assert load_prompts("hf:owner/name,split=test").texts == ("a new version",)
    with pytest.raises(
        PromptError, match="hub cannot be reached from here and hf:owner/name,rows=3 was not read before"
    ):
        load_prompts("hf:owner/name,rows=3")


def test_a_missing_package_is_one_sentence(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        PromptError, match=r'needs the package datasets, which is not installed. Run pip install "semalign-pkt\[data\]"'
    ):
        dataset_rows(f"hf:{folder}")


def test_failures_of_the_hub_are_one_sentence():
    class RepositoryNotFoundError(Exception):
        pass

    source = Source("owner/name")
    assert "no dataset hf:owner/name on the hub" in hub_datasets.explain(source, RepositoryNotFoundError("404"))
    assert "needs custom code" in hub_datasets.explain(source, RuntimeError("Dataset scripts are no longer supported"))
    assert "could not be read (reset by peer)" in hub_datasets.explain(source, OSError("reset\nby peer"))
