"""A run read token by token: naive twin, one tokenizer and two, stored once, and errors in one sentence."""

import json

import pytest
import recorded_studies
import reference_tokens as naive
import torch
from made_runs import made_run
from torch.testing import assert_close

from pkt_core.base.records import from_json, to_json
from pkt_core.data.examples import load_examples
from pkt_core.data.prompts import pasted
from pkt_core.errors import PlanError, PromptError, StoreError
from pkt_core.evaluation.behaviour import answered_right
from pkt_core.models.loading import load
from pkt_core.models.ref import ModelRef
from pkt_core.runs.folder import create_run
from pkt_core.studies.token_change import compute as token_change_compute
from pkt_core.studies.token_change.compute import texts_of, token_change
from pkt_core.studies.token_change.record import TokenChange
from pkt_core.transfer.plan import TransferPlan

LINES = pasted("Paris is a city in France.\nthe quick brown fox\nnumbers such as 1 2 3 <b>and</b> signs")


def logits(path, text):
    model = load(ModelRef(name=str(path), device="cpu", dtype="float32"))
    ids = model.tokenizer(text)["input_ids"]
    with torch.no_grad():
        return ids, model.model(input_ids=torch.tensor([ids])).logits[0].double().softmax(-1).tolist()


def test_every_number_is_that_of_the_naive_twin(tmp_path):
    run = made_run(tmp_path)
    found = token_change(run, texts="prompts", prompts=LINES)
    assert found.same_tokenizer
    assert sorted(one.text for one in found.sentences) == sorted(LINES.texts)
    for one in found.sentences:
        ids, before = logits(tmp_path / "before", one.text)
        _, after = logits(run.folder / "student", one.text)
        assert len(one.tokens) == len(ids)
        assert "".join(text for text, _, _ in one.tokens) == one.text
        for i, came in enumerate(ids[1:]):
            for who, p in (("before", before[i]), ("after", after[i])):
                assert_close(one.models[who].bits[i], naive.bits(p, came), atol=1e-4, rtol=1e-4)
                assert_close(one.models[who].entropy[i], naive.entropy(p), atol=1e-4, rtol=1e-4)
                assert one.models[who].rank[i] == naive.rank(p, came)
                assert_close(one.models[who].top[i][0][1], max(p), atol=1e-5, rtol=0)
            between = one.apart["before_after"]
            assert_close(between.kl[i], naive.kl(before[i], after[i]), atol=1e-4, rtol=1e-4)
            assert_close(between.js[i], naive.js(before[i], after[i]), atol=1e-4, rtol=1e-4)
            assert_close(between.agreement[i], naive.agreement(before[i], after[i], 5))
            assert between.same_top[i] == (before[i].index(max(before[i])) == after[i].index(max(after[i])))
    n = sum(len(one.tokens) - 1 for one in found.sentences)
    assert found.n_tokens == n
    assert_close(
        found.whole["kl_before_after"].value, sum(sum(s.apart["before_after"].kl) for s in found.sentences) / n
    )
    assert found.answers is None


def test_an_unchanged_student_shows_no_change_and_a_changed_one_does(tmp_path):
    same = token_change(made_run(tmp_path / "same", same=True), texts="prompts", prompts=LINES)
    assert same.whole["kl_before_after"].value == 0
    assert same.half == 0
    assert same.whole["same_top_before_after"].value == 1


def test_items_of_the_tasks_know_where_their_answer_begins_and_whether_it_is_right(tmp_path):
    run = made_run(tmp_path)
    found = token_change(run)
    task = load_examples(str(tmp_path / "facts.jsonl"))
    after = load(ModelRef(name=str(run.folder / "student"), device="cpu", dtype="float32"))
    told = {one.text: one for one in found.sentences}
    for item, right in zip(task.items, answered_right(after, task), strict=True):
        one = told[item.prompt + item.answer]
        assert (one.answer_at, one.right.after) == (len(item.prompt), right)
    assert 0 < found.answers.tokens < 1
    assert 0 < found.answers.change < 1


def test_another_tokenizer_is_compared_by_characters_only(tmp_path):
    run = made_run(tmp_path, teacher_texts=["Paris is zebra quilt onyx", "in France. city"])
    found = token_change(run, texts="prompts", prompts=LINES)
    assert not found.same_tokenizer
    for one in found.sentences:
        assert set(one.models) == {"before", "after"}
        assert set(one.apart) == {"before_after"}
        assert one.spans
        for a, b, *bits in one.spans:
            assert one.text[a:b].strip()
            assert all(value > 0 for value in bits)
    assert found.whole["bits_teacher"].value > 0
    assert set(found.calibration) == {"teacher", "before", "after"}


def test_it_is_computed_once_and_survives_json(tmp_path, monkeypatch):
    run = made_run(tmp_path)
    found = token_change(run, texts="prompts", prompts=LINES)
    monkeypatch.setattr(token_change_compute, "read_tokens", lambda *_, **__: pytest.fail("computed again"))
    again = token_change(run, texts="prompts", prompts=LINES)
    assert again == found == from_json(TokenChange, json.loads(json.dumps(to_json(found))), "It")


def test_its_stored_form_keeps_its_field_names(tmp_path):
    told = to_json(token_change(made_run(tmp_path)))
    assert set(told) == {
        "run",
        "name",
        "sentences",
        "same_tokenizer",
        "n_shared",
        "whole",
        "half",
        "n_tokens",
        "answers",
        "calibration",
    }
    sentence = told["sentences"][0]
    assert set(sentence) == {"id", "text", "group", "answer_at", "tokens", "models", "apart", "spans", "right"}
    assert set(sentence["models"]["teacher"]) == {"bits", "entropy", "rank", "top"}
    assert set(sentence["apart"]) == {"before_after", "teacher_before", "teacher_after"}
    assert set(sentence["apart"]["before_after"]) == {"kl", "js", "agreement", "same_top"}
    assert set(sentence["right"]) == set(told["calibration"]) == {"teacher", "before", "after"}
    pairs = [f"{key}_{pair}" for key in ("kl", "js", "agreement", "same_top") for pair in sentence["apart"]]
    assert set(told["whole"]) == {
        *pairs,
        "bits_teacher",
        "bits_before",
        "bits_after",
        "bits_change",
        "kl_teacher_change",
    }
    assert set(told["whole"]["bits_change"]) == {"value", "low", "high", "n"}
    assert set(told["answers"]) == {"tokens", "change"}
    sure = told["calibration"]["before"]
    assert set(sure) == {"ece_width", "ece_mass", "brier", "confidence", "rate", "n", "curve"}
    assert set(sure["curve"][0]) == {"confidence", "rate", "low", "high", "n"}


@pytest.mark.parametrize("name", ["token_change", "token_change_apart", "token_change_plain"])
def test_what_was_stored_comes_back_as_it_was(name):
    stored = recorded_studies.stored(name)
    assert to_json(from_json(TokenChange, stored, "It")) == stored
    stored["sentences"][0].pop("models")
    with pytest.raises(
        StoreError, match=r"not a valid TokenChange of this version \(sentences\.0\.models: Field required"
    ):
        from_json(TokenChange, stored, "It")


def test_what_does_not_fit_is_one_sentence(tmp_path):
    run = made_run(tmp_path)
    with pytest.raises(PlanError, match="Got texts 'novels'; expected one of tasks, general, prompts"):
        token_change(run, texts="novels")
    with pytest.raises(PlanError, match="Got 0 texts; expected 2 to 500"):
        token_change(run, n=0)
    with pytest.raises(PromptError, match="single token"):
        token_change(run, texts="prompts", prompts=pasted("P"))
    with pytest.raises(PromptError, match="Got 1 text; expected at least 2 for an interval over texts"):
        token_change(run, texts="prompts", prompts=pasted("Paris is a city"))
    with pytest.raises(PromptError, match="reads at most 64"):
        token_change(run, texts="prompts", prompts=pasted("word " * 80))
    with pytest.raises(StoreError, match="keeps no trained student"):
        token_change(create_run(run.plan(), run_id="two"))


def test_picked_prompts_are_read_in_their_order(tmp_path):
    plan = TransferPlan.model_validate(made_run(tmp_path).plan())
    name, texts = texts_of(plan, "prompts", LINES, [2, 0], 10, 0)
    assert name.startswith("picked prompts")
    assert [one.text for one in texts] == [LINES.texts[2], LINES.texts[0]]
