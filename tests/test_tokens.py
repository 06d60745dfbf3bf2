"""Divergences at single tokens: values worked out on paper, a naive twin, SciPy as judge, other tokenizers by characters."""

import fakes
import pytest
import reference_tokens as naive
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from torch.testing import assert_close

from pkt_core.evaluation.behaviour import read_texts
from pkt_core.evaluation.divergence import js_bits, js_of, kl_bits
from pkt_core.evaluation.tokens import among, apart, bits_by_span, own
from pkt_core.models.vocabulary import match_vocabularies

TEXTS = ["the quick brown fox", "Paris is a city in France.", "text", "numbers such as 1 2 3"]


def logs(*rows):
    return torch.tensor(rows, dtype=torch.float64).log()


def test_two_tokens_have_the_values_worked_out_on_paper():
    p, q = logs([0.5, 0.5]), logs([0.25, 0.75])
    # KL(p||q) = .5 log2(.5/.25) + .5 log2(.5/.75) = .5 + .5 (1 - log2 3) = 1 - .5 log2 3 = 0.2075187...
    assert_close(kl_bits(p, q), torch.tensor([0.2075187496394219], dtype=torch.float64))
    # KL(q||p) = .25 log2(.25/.5) + .75 log2(.75/.5) = -.25 + .75 (log2 3 - 1) = .75 log2 3 - 1 = 0.1887218...
    assert_close(kl_bits(q, p), torch.tensor([0.18872187554086717], dtype=torch.float64))
    # JS: middle (3/8, 5/8); H(m) - (H(p) + H(q)) / 2 = 0.9544340 - (1 + 0.8112781) / 2 = 0.0487949...
    assert_close(js_of(p, q), torch.tensor([0.04879494069539847], dtype=torch.float64))
    told = own(q, torch.tensor([0]))
    assert_close(told.bits, torch.tensor([2.0], dtype=torch.float64))  # 1/4 is two bits
    assert_close(told.entropy, torch.tensor([0.8112781244591328], dtype=torch.float64))  # 2 - .75 log2 3
    assert told.rank.tolist() == [2]


def test_three_tokens_with_a_zero_have_the_values_worked_out_on_paper():
    p, q = logs([0.5, 0.5, 0.0]), logs([0.25, 0.25, 0.5])
    assert_close(kl_bits(p, q), torch.tensor([1.0], dtype=torch.float64))  # twice .5 log2 2; the zero adds nothing
    assert kl_bits(q, p).tolist() == [float("inf")]  # p rules out what q gives a half
    # JS: middle (3/8, 3/8, 1/4): KL(p||m) = log2(4/3), KL(q||m) = .5 log2(2/3) + .5 log2 2 = 1 - .5 log2 3
    assert_close(js_of(p, q), torch.tensor([0.3112781244591328], dtype=torch.float64))
    assert_close(own(p, torch.tensor([1])).entropy, torch.tensor([1.0], dtype=torch.float64))
    assert own(p, torch.tensor([2])).bits.tolist() == [float("inf")]
    assert own(p, torch.tensor([1])).rank.tolist() == [1]  # as likely as the first, so nothing is before it
    nothing_shared = logs([1.0, 0.0]), logs([0.0, 1.0])
    assert js_of(*nothing_shared).tolist() == [1.0]
    both = torch.tensor([0, 1])
    ruled_out = torch.tensor([[0.0, -torch.inf]]), torch.tensor([[-torch.inf, 0.0]])
    assert js_bits(*ruled_out, both, both).tolist() == [1.0]
    assert js_bits(ruled_out[0], ruled_out[0], both, both).tolist() == [0.0]


def test_the_same_is_zero_and_another_is_not():
    generator = torch.Generator().manual_seed(0)
    p, q = (torch.randn(20, 50, generator=generator, dtype=torch.float64).log_softmax(-1) for _ in range(2))
    same, other = apart(p, p), apart(p, q)
    assert_close(same.kl, torch.zeros(20, dtype=torch.float64))
    assert_close(same.js, torch.zeros(20, dtype=torch.float64), atol=1e-12, rtol=0)
    assert same.agreement.tolist() == [1.0] * 20
    assert same.same_top.tolist() == [1] * 20
    assert (other.kl > 0.1).all()
    assert (other.js > 0.01).all()
    assert other.agreement.mean() < 0.5
    assert_close(apart(q, p).js, other.js)
    assert not torch.allclose(apart(q, p).kl, other.kl)


def test_naive_twin_and_scipy_agree():
    generator = torch.Generator().manual_seed(1)
    p, q = (3 * torch.randn(12, 40, generator=generator, dtype=torch.float64) for _ in range(2))
    p, q = p.log_softmax(-1), q.log_softmax(-1)
    came = torch.randint(40, (12,), generator=generator)
    told, between = own(p, came), apart(p, q)
    for i, (a, b) in enumerate(zip(p.exp().tolist(), q.exp().tolist(), strict=True)):
        assert_close(float(told.bits[i]), naive.bits(a, came[i]))
        assert_close(float(told.entropy[i]), naive.entropy(a))
        assert int(told.rank[i]) == naive.rank(a, came[i])
        assert_close(float(between.kl[i]), naive.kl(a, b))
        assert_close(float(between.js[i]), naive.js(a, b))
        assert_close(float(between.agreement[i]), naive.agreement(a, b, 5))
        assert_close(float(between.kl[i]), float(entropy(a, b, base=2)))
        assert_close(float(told.entropy[i]), float(entropy(a, base=2)))
        assert_close(float(between.js[i]), float(jensenshannon(a, b, base=2) ** 2))


def test_a_distribution_over_some_tokens_sums_to_one():
    p = logs([0.5, 0.3, 0.2])
    assert_close(among(p, torch.tensor([0, 2])).exp(), torch.tensor([[5 / 7, 2 / 7]], dtype=torch.float64))


def cut(model, text):
    encoded = model.tokenizer(text, return_offsets_mapping=True)
    ids = torch.tensor(encoded["input_ids"])
    with torch.no_grad():
        log_probs = model.model(input_ids=ids[None]).logits[0, :-1].double().log_softmax(-1)
    return encoded["offset_mapping"], own(log_probs, ids[1:]).bits.tolist()


def test_token_bits_sum_to_the_bits_per_byte_of_behaviour(tmp_path):
    model = fakes.loaded(tmp_path)
    match = match_vocabularies(model.tokenizer, model.tokenizer, 320, 320)
    texts = [text for text in TEXTS if len(model.tokenizer(text)["input_ids"]) > 1]
    whole = read_texts({"teacher": model}, texts, match)["teacher"].bits
    assert_close([sum(cut(model, text)[1]) for text in texts], whole, atol=1e-4, rtol=1e-5)


def test_two_tokenizers_are_compared_by_the_characters_they_share(tmp_path):
    one = fakes.loaded(tmp_path / "one")
    other = fakes.loaded(tmp_path / "other", texts=["Paris is zebra quilt onyx", "in France. city"], seed=3)
    text = "Paris is a city in France."
    (cut_one, bits_one), (cut_other, bits_other) = cut(one, text), cut(other, text)
    assert [tuple(o) for o in cut_one] != [tuple(o) for o in cut_other]
    found = bits_by_span(text, [cut_one, cut_other], [bits_one, bits_other])
    assert found
    for (start, end), needed in found:
        for offsets, bits, told in ((cut_one, bits_one, needed[0]), (cut_other, bits_other, needed[1])):
            inside = [t for t, (a, b) in enumerate(offsets) if a < end and b > start and b > a]
            assert {c for t in inside for c in range(*offsets[t]) if not text[c].isspace()} == {
                c for c in range(start, end) if not text[c].isspace()
            }
            assert_close(told, sum(bits[t - 1] for t in inside))
    alike = bits_by_span(text, [cut_one, cut_one], [bits_one, bits_one])
    lettered = [b for b, (a, e) in zip(bits_one, cut_one[1:], strict=True) if text[a:e].strip()]
    assert_close([needed[0] for _, needed in alike], lettered)  # with one tokenizer the pieces are its tokens
    assert all(needed[0] == needed[1] for _, needed in alike)


def test_a_piece_that_nobody_predicted_is_left_out():
    found = bits_by_span("ab cd", [[(0, 2), (2, 5)], [(0, 1), (1, 2), (2, 5)]], [[3.0], [1.0, 2.0]])
    assert found == [((3, 5), [3.0, 2.0])]
    with pytest.raises(ValueError, match="zip"):
        bits_by_span("ab cd", [[(0, 2), (2, 5)]], [[3.0], [1.0]])
