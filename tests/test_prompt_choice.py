"""Prompts of a file, an upload or a dataset in the app: what is asked of the engine is what is in the link, by content."""

from dataclasses import replace

import pytest
import recorded_results
from pages import page, words

from dashboard.prompt_choice import UPLOAD
from pkt_core.data.prompts import bundled, load_prompts
from pkt_core.studies.comparison.record import Sides

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]
FILE = b"text,topic\n" + b"".join(b"prompt %d,%s\n" % (i, [b"art", b"sport"][i % 2]) for i in range(70))


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "my prompts.csv"
    made.write_bytes(FILE)
    return made


def asked(answers, function="compare"):
    return [arguments["prompts"] for name, arguments in answers.asked if name == function]


def test_a_file_by_its_path_is_asked_for_by_its_content(answers, path):
    app = page("alignment", prompts="file", file=str(path))
    assert not app.exception
    (first,) = set(asked(answers))
    assert first.startswith("kept:my-prompts-")
    assert load_prompts(first).labels["topic"][:2] == ("art", "sport")
    assert "70 prompts; labels: topic" in words(app).replace("\\", "")
    path.write_bytes(FILE + b"one more,art\n")
    assert "71 prompts" in words(app.run()).replace("\\", "")
    assert len(set(asked(answers))) == 2


def test_an_uploaded_file_is_kept_and_its_link_reopens_it(answers):
    app = page("pair", prompts="file")
    app.file_uploader(key=UPLOAD).upload("reviews.csv", FILE, "text/csv").run()
    assert not app.exception
    name = app.text_input(key="file").value
    assert name.startswith("kept:reviews-")
    assert app.query_params["file"] in (name, [name])
    assert asked(answers)[-1] == name
    answers.asked.clear()
    again = page("latent_map", prompts="file", file=name)
    assert "70 prompts; labels: topic" in words(again).replace("\\", "")
    assert {arguments["prompts"] for _, arguments in answers.asked if "prompts" in arguments} == {name}


def test_an_upload_that_cannot_be_read_is_one_sentence():
    app = page("pair", prompts="file")
    app.file_uploader(key=UPLOAD).upload("bad.jsonl", b"{", "application/json").run()
    assert not app.exception
    assert any("line 1" in one.value.replace("\\", "") and "not JSON" in one.value for one in app.error)
    assert app.text_input(key="file").value == ""


@pytest.mark.parametrize("given", ["hf:owner/name,split=test", "owner/name,split=test"])
def test_a_dataset_is_asked_for_by_its_name_and_not_read_by_the_page(answers, monkeypatch, given):
    monkeypatch.setattr("pkt_core.data.hub_datasets.dataset_rows", lambda _: pytest.fail("the page read the dataset"))
    app = page("alignment", prompts="dataset", dataset=given)
    assert not app.exception
    assert set(asked(answers)) == {"hf:owner/name,split=test"}


def test_a_missing_file_is_left_to_the_engine_to_refuse(answers):
    app = page("alignment", prompts="file", file="/no/where.csv")
    assert not app.exception
    assert set(asked(answers)) == {"/no/where.csv"}


@pytest.mark.parametrize("picture", ["chain of spaces", "joined by a map"])
@pytest.mark.parametrize("name", bundled())
def test_the_labels_of_every_set_colour_the_map(answers, monkeypatch, name, picture):
    labels = load_prompts(name).labels
    real = answers.find

    def find(function, arguments):
        found = real(function, arguments)
        if function in ("latent_map", "chain_map"):
            given = {"labels": {key: list(values[:40]) for key, values in labels.items()}}
            found = replace(found, **given)
        return found

    monkeypatch.setattr(answers, "find", find)
    label = list(labels)[-1]
    app = page("latent_map", prompts=name, colour=label, picture=picture)
    assert not app.exception
    assert not any("not available here" in one.value for one in app.info)
    assert app.selectbox(key="colour").options[2:] == list(labels)
    assert app.selectbox(key="colour").value == label
    assert f"{len(load_prompts(name)):,} prompts" in words(app)


def test_a_colour_that_other_prompts_lack_gives_way():
    app = page("latent_map", prompts="facts", colour="construct")
    assert not app.exception
    assert any("construct" in one.value for one in app.info)


def test_the_pair_page_says_what_matches_and_what_is_left_out(answers, monkeypatch):
    comparison = recorded_results.comparison()
    side = replace(comparison.vocabulary.sides.student, alone=1093)
    facts = replace(
        comparison.vocabulary, n=3000, share=0.75, same_tokenizer=False, only_teacher=["\n<b>"], only_student=[],
        sides=Sides(replace(side, padding=64, rows=4160), side),
    )  # fmt: skip
    monkeypatch.setattr(answers, "find", lambda *_: replace(comparison, vocabulary=facts))
    app = page("pair")
    assert not app.exception
    said = words(app).replace("\\", "")
    assert "| Matched by text | 3,000 | 3,000 |" in said
    assert "| Padding rows, excluded | 64 | 0 |" in said
    assert "Second token for a text, left out" not in said
    assert "Only the teacher has: 1,093, 1 of them" in said
    assert "even where both have one of the same name (<pad>, <bos>, <eos>)" in said
    assert any(repr("\n<b>") in block.value for block in app.text)


@pytest.mark.usefixtures("answers")
def test_too_few_prompts_are_told_where_they_are_chosen_by_the_name_of_the_file():
    app = page("pair", prompts="file")
    app.file_uploader(key=UPLOAD).upload("pr.txt", b"".join(b"prompt %d\n" % (i % 10) for i in range(80)), "text/plain")
    app.run()
    assert not app.exception
    (told,) = [one.value.replace("\\", "") for one in app.warning if "similarity grid" in one.value]
    assert told.startswith("pr gives 10 prompts (70 more lines repeat one word for word; equal texts count once)")
    assert "at least 64" in told
    assert "kept:" not in told
    enough = page("pair", prompts="file", file=app.text_input(key="file").value, pooling="tokens")
    assert "10 prompts" in words(enough)
    assert any("40 samples" in one.value for one in enough.warning)
    pasted = page("pair", prompts="own lines", lines="one\ntwo\none")
    assert "2 prompts (1 more line repeats" in words(pasted).replace("\\", "")
    assert any("at least 64" in one.value for one in pasted.warning)
    assert not any("at least 64" in one.value for one in page("pair", prompts="facts").warning)
