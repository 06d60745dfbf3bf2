"""Tasks of one's own: likelihoods by the naive way, both scorings where they part, confidence, the command, limits."""

import json

import fakes
import pytest
import recorded_studies
import torch
from made_runs import made_run
from torch.testing import assert_close

from pkt_core.base.records import from_json, to_json
from pkt_core.cli import app
from pkt_core.data.examples import Example, ExampleSet, encode
from pkt_core.errors import PromptError, StoreError
from pkt_core.evaluation.behaviour import answered_right
from pkt_core.evaluation.choices import chance, choice_scores, own_confidence, picked_per_byte, picked_plain
from pkt_core.models.loading import load
from pkt_core.models.ref import ModelRef
from pkt_core.studies.behaviour import user_task as behaviour_user_task
from pkt_core.studies.behaviour.record import UserTask
from pkt_core.studies.behaviour.user_task import user_task

CITIES = [("Paris", " France."), ("Rome", " Italy."), ("the quick", " brown fox."), ("numbers", " such as 1 2 3.")]
CHOICES = tuple(answer for _, answer in CITIES)


def likelihood(model, prompt, choice):
    """One choice at a time, one token at a time."""
    ids = model.tokenizer(prompt + choice)["input_ids"]
    n = len(model.tokenizer(prompt)["input_ids"])
    with torch.no_grad():
        p = model.model(input_ids=torch.tensor([ids])).logits[0].double().softmax(-1)
    return sum(torch.log(p[i - 1, ids[i]]).item() for i in range(n, len(ids)))


def test_each_choice_has_the_likelihood_of_the_naive_way(tmp_path):
    model = fakes.loaded(tmp_path)
    items = [Example(p, a, "", CHOICES) for p, a in CITIES]
    for item, scores in zip(items, choice_scores(model, items, batch_size=3), strict=True):
        expected = [likelihood(model, item.prompt, choice) for choice in item.choices]
        assert_close(scores.tolist(), expected, atol=1e-4, rtol=1e-4)
    assert chance(items) == 0.25


def test_the_two_scorings_part_where_lengths_do():
    item = Example("p", " longer answer", "", (" short", " longer answer"))
    scores = torch.tensor([-3.0, -5.0], dtype=torch.float64)
    assert picked_plain(item, scores)[0] is False  # the short one is likelier as it stands
    assert picked_per_byte(item, scores)[0] is True  # -3 over 6 bytes against -5 over 14
    assert_close(picked_plain(item, scores)[1], 1 / (1 + torch.e**-2))


def test_confidence_is_that_of_the_models_own_words(tmp_path):
    model = fakes.loaded(tmp_path)
    items = [Example(p, a) for p, a in CITIES]
    found = own_confidence(model, encode(model.tokenizer, items, 64), batch_size=2)
    for item, sure in zip(items, found, strict=True):
        ids = model.tokenizer(item.prompt)["input_ids"]
        steps, expected = len(model.tokenizer(item.prompt + item.answer)["input_ids"]) - len(ids), 1.0
        for _ in range(steps):
            with torch.no_grad():
                p = model.model(input_ids=torch.tensor([ids])).logits[0, -1].double().softmax(-1)
            expected *= p.max().item()
            ids = [*ids, int(p.argmax())]
        assert_close(sure, expected, atol=0, rtol=1e-4)


def test_confidence_begins_at_the_answer_where_the_tokenizer_ends_a_text_by_a_token_of_its_own(tmp_path):
    from tokenizers.processors import TemplateProcessing

    model = fakes.loaded(tmp_path)
    items = [Example(p, a) for p, a in CITIES]
    plain = own_confidence(model, encode(model.tokenizer, items, 64))
    ending = TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 2)])
    model.tokenizer.backend_tokenizer.post_processor = ending
    ended = encode(model.tokenizer, items, 64)
    assert all(one.ids[-1] == 2 for one in ended)
    assert_close(own_confidence(model, ended), plain, atol=0, rtol=1e-4)


def file_with(path, choices):
    more = {"choices": list(CHOICES)} if choices else {}
    path.write_text("".join(json.dumps({"prompt": p, "answer": a, **more}) + "\n" for p, a in CITIES))
    return str(path)


@pytest.mark.parametrize("choices", [True, False])
def test_a_file_is_asked_of_all_three_and_kept(tmp_path, monkeypatch, choices):
    run, task = made_run(tmp_path), file_with(tmp_path / "mine.jsonl", choices)
    found = user_task(run, task=task)
    names = [one.scoring for one in found.scored]
    assert names == (["choice, log-likelihood", "choice, log-likelihood per byte"] if choices else ["cloze, greedy"])
    after = load(ModelRef(name=str(run.folder / "student"), device="cpu", dtype="float32"))
    for one in found.scored:
        assert set(one.models) == set(one.calibration) == {"teacher", "before", "after"}
        assert one.chance == 0.25
        assert one.models["after"].correct == one.right["after"].count("1")
        assert one.calibration["after"].n == 4
    if choices:
        expected = [CHOICES[max(range(4), key=lambda i: likelihood(after, p, CHOICES[i]))] == a for p, a in CITIES]
        assert [c == "1" for c in found.scored[0].right["after"]] == expected
    else:
        cloze = ExampleSet("mine", tuple(Example(p, a) for p, a in CITIES))
        assert [c == "1" for c in found.scored[0].right["after"]] == answered_right(after, cloze)
    monkeypatch.setattr(behaviour_user_task, "ask_user_task", lambda *_, **__: pytest.fail("asked again"))
    assert user_task(run, task=task) == found == from_json(UserTask, json.loads(json.dumps(to_json(found))), "It")


def test_its_stored_form_keeps_its_field_names_and_comes_back_as_it_was(tmp_path):
    told = to_json(user_task(made_run(tmp_path), task=file_with(tmp_path / "mine.jsonl", False)))
    assert set(told) == {"run", "task", "n", "digest", "scored", "items"}
    one = told["scored"][0]
    assert set(one) == {"scoring", "chance", "models", "change", "test", "right", "calibration"}
    assert set(one["models"]) == set(one["right"]) == set(one["calibration"]) == {"teacher", "before", "after"}
    assert set(one["models"]["after"]) == {"n", "correct", "rate", "low", "high"}
    assert set(one["change"]) == {"before", "after", "difference", "low", "high", "p_value", "n"}
    assert set(one["test"]) == {"p_holm", "detectable", "gap", "gap_low", "gap_high", "closed"}
    stored = recorded_studies.stored("user_task")
    assert to_json(from_json(UserTask, stored, "It")) == stored
    with pytest.raises(StoreError, match="field 'later', which UserTask of this version does not have"):
        from_json(UserTask, stored | {"later": 1}, "It")


def test_the_command_prints_both_scorings_and_writes_nothing(tmp_path):
    from typer.testing import CliRunner

    run, task = made_run(tmp_path), file_with(tmp_path / "mine.jsonl", True)
    before = sorted(path.name for path in run.folder.iterdir())
    out = CliRunner().invoke(app, ["evaluate", run.id, "--task", task, "--json", "-"])
    assert out.exit_code == 0, out.output
    told = json.loads(out.stdout)
    assert [one["scoring"] for one in told[0]["scored"]] == [
        "choice, log-likelihood",
        "choice, log-likelihood per byte",
    ]
    assert "mine.jsonl" in CliRunner().invoke(app, ["evaluate", run.id, "--task", task]).stdout
    assert sorted(path.name for path in run.folder.iterdir()) == before


def test_too_many_items_are_refused(tmp_path, monkeypatch):
    run, task = made_run(tmp_path), file_with(tmp_path / "mine.jsonl", False)
    monkeypatch.setattr(behaviour_user_task, "MOST_ITEMS", 3)
    with pytest.raises(PromptError, match="has 4 items; expected at most 3"):
        user_task(run, task=task)
