"""Results of a run survive their file; those of every earlier version read, and what is none is one sentence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import recorded_runs
from hypothesis import given
from hypothesis import strategies as st

from pkt_core.base.records import to_json
from pkt_core.data.prompts import assets_folder
from pkt_core.errors import StoreError
from pkt_core.runs.folder import create_run
from pkt_core.runs.results import (
    Seconds,
    TaughtPair,
    TrainingStep,
    read_results,
    read_steps,
    results_json,
)
from pkt_core.transfer.setup import event
from pkt_core.transfer.train import StepReport

NAMES = ["demo-semalign-v1", "demo-semalign-v1-permuted", "demo-ours", "demo-logit-kd", "demo-sft"]
# As the version before these records wrote them: what a run of it said after training, and what measuring added.
TRAINED = {
    "layers": {"teacher": 5, "student": 2, "chosen_by": "attribution", "pairs": [{"teacher": 5, "student": 2}]},
    "attribution": {
        "scores": [0.1, 0.4], "low": [0.0, 0.3], "high": [0.2, 0.5], "per_example": [[0.1, -0.4]],
        "aggregations": {"abs_of_sum": [0.1, 0.4], "sum": [0.1, -0.4], "sum_of_abs": [0.2, 0.5]}, "best": 1,
    },
    "steps": 30, "planned_steps": 30,
    "examples": {"name": "mine.jsonl", "n": 12, "digest": "0123456789abcdef"},
    "teacher_digest": "469a8a9c5fdab923",
    "memory": {"peak": 633413632, "estimated": 704210073},
    "trained_parameters": 110784,
    "seconds": {"targets": 1.5, "training": 4.5},
    "versions": {"pkt": "0.2.0", "python": "3.11.7", "torch": "2.13.0+cpu", "transformers": "5.24.0", "device": "x86_64"},
    "changed": None,
    "exported": {"adapter_model.safetensors": {"bytes": 440000, "sha256": "ab" * 32}},
}  # fmt: skip
MEASURED = {
    "command": "pkt transfer --pair demo --method logit-kd --seed 0",
    "alignment": {"before": {"cka": 0.15}, "after": {"cka": 0.19}, "n": 256, "pooling": "last", "part": "block_delta"},
    "behaviour": {
        who: {
            "tasks": {"mine.jsonl": {"n": 2, "correct": 1, "rate": 0.5, "low": 0.1, "high": 0.9}},
            "bits_per_byte": {"value": 1.7, "low": 1.6, "high": 1.8, "n": 200, "n_texts": 200},
            "kl_to_teacher": None,
            "top1_agreement": None,
        }
        for who in ("teacher", "before", "after")
    },
    "changes": {
        "mine.jsonl": {"before": 0.5, "after": 0.5, "difference": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0, "n": 2, "prior": 0.5}
    },
    "right": {"mine.jsonl": {"teacher": "10", "before": "10", "after": "10"}},
    "repeats": {"mine.jsonl": 1},
    "generations": [{"prompt": "a", "expected": " b", "teacher": " b", "before": " c", "after": " b"}],
}  # fmt: skip
FIRST = {  # the first version told of one pair of layers, of no digests, no memory and no single answers
    **{name: TRAINED[name] for name in ("trained_parameters", "seconds", "examples", "versions")},
    **{name: MEASURED[name] for name in ("alignment", "changes", "generations", "command")},
    "layers": {"teacher": 5, "student": 2, "chosen_by": "attribution"},
    "steps": 30,
    "behaviour": {
        who: {**model, "bits_per_byte": {"value": 1.7, "low": 1.6, "high": 1.8, "n_texts": 200}}
        for who, model in MEASURED["behaviour"].items()
    },
}


def without_nothing(told):
    """The same without what is None or empty, which is not written any more."""
    if isinstance(told, dict):
        return {key: without_nothing(value) for key, value in told.items() if value is not None}
    return [without_nothing(one) for one in told] if isinstance(told, list) else told


@pytest.mark.parametrize("name", NAMES)
def test_recorded_results_come_out_of_the_record_as_they_went_in(name):
    stored = json.loads((assets_folder() / "recorded" / name / "results.json").read_text())
    found = recorded_runs.results(name)
    assert json.loads(json.dumps(results_json(found))) == without_nothing(stored)
    assert found.complete
    assert found.layers.every == [TaughtPair(teacher=5, student=2)]
    assert found.seconds.total == pytest.approx(sum(stored["seconds"].values()))
    assert len(recorded_runs.steps(name)) == found.steps == 300


def test_results_of_the_version_before_these_records_read_whole():
    for stored in (TRAINED, TRAINED | MEASURED, TRAINED | {"unmeasured": "The teacher is not here."}):
        found = read_results(json.loads(json.dumps(stored)), "It")
        assert json.loads(json.dumps(results_json(found))) == without_nothing(stored)
    assert found.behaviour is None
    assert found.attribution.best == 1
    assert found.exported["adapter_model.safetensors"].bytes == 440000


def test_results_of_the_first_version_lack_what_later_ones_added():
    found = read_results(FIRST, "It")
    assert found.layers.every == [TaughtPair(5, 2)]
    assert (found.right, found.memory, found.exported, found.complete) == ({}, None, {}, False)
    assert found.behaviour.after.bits_per_byte.texts == 200
    told = [{"kind": "step", "step": 1, "total": 30, "seconds": 0.1, "terms": {"kl": 1.0}, "alignment": None}]
    assert read_steps(told, "It") == [TrainingStep(1, 30, 0.1, {"kl": 1.0})]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"later": 1}, "has the field 'later', which RunResults of this version does not have"),
        ({"layers": {**TRAINED["layers"], "later": 1}}, r"has the field 'layers\.later'"),
        ({"right": {"t": {"after": "01", "later": "1"}}}, r"has the field 'right\.t\.later'"),
        ({"layers": {"teacher": 1, "chosen_by": "plan"}}, r"layers\.student: Field required"),
        ({"steps": "30"}, "steps: Input should be a valid integer"),
        ({"steps": True}, "steps: Input should be a valid integer"),
        ({"seconds": {"training": float("nan")}}, r"seconds\.training: Input should be a finite number"),
        ({"right": {"t": {"after": "0x"}}}, r"right\.t\.after"),
        ({"right": {"t": {"before": "0", "after": "01"}}}, "as many answers before as after"),
        ({"behaviour": None}, "need the behaviour before and after"),
        ({"behaviour": {"after": MEASURED["behaviour"]["after"]}}, r"behaviour\.before: Field required"),
    ],
)
def test_what_are_no_results_of_a_known_version_is_one_sentence(change, sentence):
    with pytest.raises(StoreError, match=sentence) as error:
        read_results(TRAINED | MEASURED | change, "results.json")
    assert "\n" not in str(error.value)


def test_a_step_of_a_later_version_is_one_sentence_and_what_is_written_is_the_record(tmp_path, monkeypatch):
    monkeypatch.setenv("PKT_CACHE", str(tmp_path))
    run = create_run({"method": "sft"})
    report = StepReport(1, 3, 0.5, {"cross_entropy": 1.5}, None, layers=(2,), micro_batch=4)
    run.append_event({"kind": "step", **event(report), "recall": {"t": 0.5}})
    run.append_event({"kind": "note"})
    assert run.steps() == [TrainingStep(**{**vars(report), "layers": [2]}, recall={"t": 0.5})]
    run.append_event({"kind": "step", **event(replace(report, step=2)), "later": 1})
    with pytest.raises(StoreError, match="later"):
        run.steps()


numbers = st.floats(allow_nan=True, allow_infinity=True)
finite = st.floats(allow_nan=False, allow_infinity=False)
counts, few = st.integers(0, 10**12), st.integers(0, 99)
words, bits = st.text(max_size=5), st.text("01", max_size=4)


def record(optional=(), **fields):
    """The JSON form of a record: all of its fields, those that are optional now and then None or missing."""
    never = {name: one for name, one in fields.items() if name not in optional}
    return st.fixed_dictionaries(never, optional={name: st.none() | fields[name] for name in optional})


def by_task(one):
    return st.dictionaries(words, one, max_size=2)


measure = record(["n", "n_texts", "unit"], value=numbers, low=numbers, high=numbers, n=counts, n_texts=counts, unit=st.just("bits"))  # fmt: skip
recalls = by_task(record(n=counts, correct=counts, rate=numbers, low=numbers, high=numbers))
model = record(
    ["bits_per_byte", "kl_to_teacher", "top1_agreement"],
    **{"tasks": recalls, "bits_per_byte": measure, "kl_to_teacher": measure, "top1_agreement": measure},
)
pair = record(teacher=few, student=few)
change = record(
    ["prior"], before=finite, after=finite, difference=finite, low=numbers, high=numbers, p_value=numbers, n=counts, prior=numbers
)  # fmt: skip
at = record(["cosine"], cka=numbers, cosine=numbers)
whole = record(
    ["layers", "attribution", "steps", "planned_steps", "examples", "teacher_digest", "memory", "trained_parameters", "changed",
     "command", "unmeasured", "alignment"],
    layers=record(teacher=few, student=few, chosen_by=words, pairs=st.lists(pair, max_size=2)),
    attribution=record(
        scores=st.lists(numbers, max_size=2), low=st.lists(numbers, max_size=2), high=st.lists(numbers, max_size=2), best=few,
        per_example=st.lists(st.lists(numbers, max_size=2), max_size=2), aggregations=by_task(st.lists(numbers, max_size=2)),
    ),
    steps=counts,
    planned_steps=counts,
    examples=record(name=words, n=counts, digest=words),
    teacher_digest=words,
    memory=record(peak=counts, estimated=counts),
    trained_parameters=counts,
    seconds=record(["targets", "training", "evaluation"], targets=finite, training=finite, evaluation=finite),
    versions=by_task(words),
    changed=record(tensors=counts, of=counts, outside_plan=counts),
    exported=by_task(record(bytes=counts, sha256=words)),
    command=words,
    unmeasured=words,
    alignment=record(
        ["control"], before=at, after=at, n=counts, pooling=words, part=words, control=record(before=numbers, after=numbers)
    ),
    behaviour=record(["teacher"], before=model, after=model, teacher=model),
    changes=by_task(change),
    right=by_task(st.integers(0, 4).flatmap(lambda n: record(["teacher"], **dict.fromkeys(("before", "after"), st.text("01", min_size=n, max_size=n)), teacher=bits))),
    repeats=by_task(counts),
    generations=st.lists(record(prompt=words, expected=words, before=words, after=words, teacher=words), max_size=2),
)  # fmt: skip


def sparse(told):
    """What is written of it: fields that are None or empty are left out, entries of a dictionary are not."""
    return {name: value for name, value in told.items() if value not in (None, {}, [])}


@given(whole)
def test_any_results_come_back_from_their_file_as_they_were(told):
    found = read_results(told, "It")
    written = json.loads(json.dumps(results_json(found)))
    back = read_results(written, "It")
    assert repr(back) == repr(found)  # by repr: not-a-number is no other number
    assert set(written) == set(sparse(told)) - ({"seconds"} if found.seconds == Seconds() else set())
    for task, one in found.changes.items():
        assert repr(one.low) == repr(float(told["changes"][task]["low"]))


@given(
    record(
        ["alignment"], step=counts, total=counts, seconds=numbers, terms=by_task(st.none() | numbers), alignment=numbers,
        layers=st.lists(few, max_size=2), micro_batch=few, recall=by_task(numbers),
    )
)  # fmt: skip
def test_any_step_comes_back_from_its_line_as_it_was(told):
    (step,) = read_steps([{"kind": "step", **told}], "It")
    line = json.loads(json.dumps({"kind": "step", **to_json(step)}))
    assert repr(read_steps([line], "It")) == repr([step])
    assert line == {"kind": "step", "alignment": None, **told} or "nan" in repr(told)
