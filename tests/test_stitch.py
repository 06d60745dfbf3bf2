"""Stitching in closed form against the least-squares problem it solves, with its controls; what it leaves alone."""

import fakes
import pytest
import reference_neurons as naive
import torch
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close
from trained import extracted, extraction, plan_for

from pkt_core.alignment.maps import AlignmentMap
from pkt_core.alignment.pairing import LayerPair
from pkt_core.data.examples import Encoded
from pkt_core.errors import PlanError
from pkt_core.runs.results import ChangedTensors
from pkt_core.transfer.maths import closed_form
from pkt_core.transfer.readings import supervised
from pkt_core.transfer.trainable import changed, fingerprints

TEXTS = [*fakes.TEXT, "reads text and jumps over a city", "the lazy dog writes numbers such as 7"]
PAIR = LayerPair(1, 2)


def models(tmp_path, family="llama"):
    return fakes.loaded(tmp_path / "t", family, layers=4, width=48), fakes.loaded(tmp_path / "s", family, seed=1)


def some_map(d_teacher=48, d_student=32):
    matrix = torch.randn(d_student, d_teacher, generator=torch.Generator().manual_seed(7))
    return AlignmentMap(matrix, torch.full((d_student,), 0.01), "ridge")


def asked(tmp_path, family="llama", **more):
    teacher, student = models(tmp_path, family)
    pairs = more.pop("pairs", [PAIR])
    plan = plan_for(teacher, student, method="stitch", **more)
    return extraction(teacher, student, plan, pairs, TEXTS, {p.student: some_map() for p in pairs})


@torch.no_grad()
def rows_of(loaded, encoded, plan, layer):
    """Inputs of the matrix and states at the site, one example at a time."""
    keys, states = [], []
    for example in encoded:
        seen = []
        module = closed_form.last_matrix(loaded, layer)
        handle = module.register_forward_pre_hook(lambda _m, args, seen=seen: seen.append(args[0]))
        out = loaded.model(input_ids=torch.tensor([example.ids]), output_hidden_states=True).hidden_states[layer + 1]
        handle.remove()
        at = supervised(example, plan.positions)
        keys.append(seen[0].reshape(len(example.ids), -1)[at].double())
        states.append(out[0, at].double())
    return torch.cat(keys), torch.cat(states)


def general_rows(e, layer):
    texts = [Encoded(ids, ids) for ids in e.student.tokenizer(TEXTS)["input_ids"]]
    return rows_of(e.student, texts, e.plan.model_copy(update={"positions": "all"}), layer)


@pytest.mark.parametrize("positions", ["all", "answer"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "phi"])
def test_the_change_solves_its_least_squares_problem(tmp_path, family, positions):
    e = asked(tmp_path, family, positions=positions)
    before = fingerprints(e.student.model)
    found = extracted(e)["change.1"]
    assert fingerprints(e.student.model) == before
    keys, states = rows_of(e.student, e.encoded, e.plan, 1)
    _, theirs = rows_of(e.teacher, e.encoded, e.plan, 2)
    others, _ = general_rows(e, 1)
    system = keys.T @ keys / len(keys) + closed_form.GUARD * others.T @ others / len(others)
    ridge = closed_form.RIDGE * float(system.diagonal().mean())
    residuals = some_map()(theirs.float()).double() - states
    expected = naive.stitch(keys, residuals, others, closed_form.GUARD, ridge)
    assert_close(found.double(), expected, atol=1e-3 * float(expected.abs().max()), rtol=1e-3)


def installed(e, strength):
    plan = e.plan.model_copy(update={"strength": strength})
    return closed_form.stitch(e.student, e.pairs, extracted(e), plan.strength)


def test_strength_0_changes_no_bit_and_the_change_grows_in_proportion(tmp_path):
    moved = {}
    for strength in (0.0, 0.5, 1.0, 2.0):
        e = asked(tmp_path)
        before, own = fingerprints(e.student.model), closed_form.last_matrix(e.student, 1).weight.detach().clone()
        trainable = installed(e, strength)
        moved[strength] = closed_form.last_matrix(e.student, 1).weight.detach() - own
        difference = changed(before, e.student, e.plan, e.pairs)
        assert difference == ChangedTensors(tensors=int(strength > 0), of=len(before), outside_plan=0)
        assert trainable.n == 0
    assert_close(moved[0.5] * 2, moved[1.0], atol=1e-6, rtol=1e-4)
    assert_close(moved[1.0] * 2, moved[2.0], atol=1e-6, rtol=1e-4)
    assert float(moved[1.0].abs().max()) > 0.1


def test_data_moves_to_the_teacher_and_general_text_less_and_shuffled_rows_do_not_lead_there(tmp_path, monkeypatch):
    near, gone = {}, {}
    for guard, rows in [(0.0, "paired"), (10.0, "paired"), (0.0, "shuffled")]:
        monkeypatch.setattr(closed_form, "GUARD", guard)
        e = asked(tmp_path, rows=rows)
        _, states = rows_of(e.student, e.encoded, e.plan, 1)
        _, general = general_rows(e, 1)
        _, theirs = rows_of(e.teacher, e.encoded, e.plan, 2)
        wanted = some_map()(theirs.float()).double()
        start = float(cosine_similarity(states, wanted, dim=-1).mean())
        installed(e, 1.0)
        _, after = rows_of(e.student, e.encoded, e.plan, 1)
        _, general_after = general_rows(e, 1)
        near[guard, rows] = float(cosine_similarity(after, wanted, dim=-1).mean()) - start
        gone[guard, rows] = (
            float((general_after - general).norm() / general.norm()),
            float((after - states).norm() / states.norm()),
        )
    assert near[0.0, "paired"] > 0.3
    assert 0.05 < near[10.0, "paired"] < near[0.0, "paired"]
    assert near[0.0, "shuffled"] < near[0.0, "paired"] / 2
    assert gone[10.0, "paired"][0] < gone[10.0, "paired"][1]
    assert gone[10.0, "paired"][0] < gone[0.0, "paired"][0] / 2


def test_a_student_that_is_its_own_teacher_stays_and_another_teacher_moves_it(tmp_path):
    student = fakes.loaded(tmp_path / "s", seed=1)
    other = fakes.loaded(tmp_path / "o", seed=2)
    same = AlignmentMap(torch.eye(32), None, "ridge")
    sizes = []
    for teacher in (student, other):
        plan = plan_for(teacher, student, method="stitch")
        e = extraction(teacher, student, plan, [LayerPair(1, 1)], TEXTS, {1: same})
        sizes.append(float(extracted(e)["change.1"].abs().max()))
    assert sizes[0] < 1e-6
    assert sizes[1] > 1e-3


def test_a_deeper_pair_sees_what_the_shallower_one_changed(tmp_path):
    pairs = [LayerPair(0, 1), LayerPair(1, 2)]
    both = extracted(asked(tmp_path, pairs=pairs))
    first, second = (extracted(asked(tmp_path, pairs=[p])) for p in pairs)
    assert torch.equal(both["change.0"], first["change.0"])
    assert not torch.allclose(both["change.1"], second["change.1"], rtol=1e-2)
    e = asked(tmp_path, pairs=pairs[1:])
    closed_form.add(closed_form.last_matrix(e.student, 0), first["change.0"], 1.0)
    assert_close(extracted(e)["change.1"], both["change.1"])


def test_what_cannot_be_stitched_is_refused_in_one_sentence(tmp_path):
    for family in ("gemma2", "gemma3", "granite"):
        with pytest.raises(
            PlanError, match="unchanged, so stitch cannot move the stream by editing that matrix. Choose a student"
        ):
            extracted(asked(tmp_path / family, family))
    with pytest.raises(PlanError, match="Got part attn_out with stitch, which changes the matrix an MLP ends in"):
        extracted(asked(tmp_path, part="attn_out"))


def test_the_matrix_must_be_the_one_that_makes_the_output(tmp_path, monkeypatch):
    e = asked(tmp_path)
    monkeypatch.setattr(
        closed_form, "last_matrix", lambda student, layer: student.layout.blocks[layer].self_attn.o_proj
    )
    with pytest.raises(PlanError, match="stitch cannot move the stream"):
        extracted(e)
