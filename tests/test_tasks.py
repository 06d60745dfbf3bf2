"""What several tests say together: Holm by hand and by statsmodels, the gap to the teacher, items that turned."""

from dataclasses import replace

import pytest
from statsmodels.stats.multitest import multipletests
from torch.testing import assert_close

from pkt_core.evaluation.power import detectable
from pkt_core.evaluation.record import Answers
from pkt_core.evaluation.statistics import paired_change
from pkt_core.evaluation.tasks import over_tasks


def change(before, after):
    return paired_change([c == "1" for c in before], [c == "1" for c in after])


def test_holm_over_two_tasks_is_what_paper_says():
    changes = {
        "a": replace(change("0" * 20, "1" * 20), p_value=0.01),
        "b": replace(change("0" * 20, "0" * 20), p_value=0.04),
    }
    found = over_tasks(changes, {})
    assert_close([found["a"].p_holm, found["b"].p_holm], [0.02, 0.04])  # twice the smallest, once the other
    assert_close([one.p_holm for one in found.values()], multipletests([0.01, 0.04], method="holm")[1].tolist())
    assert found["a"].gap is None
    assert found["a"].detectable == detectable(20)
    assert over_tasks({"a": change("0" * 4, "1" * 4)}, {})["a"].detectable is None  # four items find nothing
    assert over_tasks({}, {}) == {}


def test_gap_and_what_of_it_was_closed():
    before, after, teacher = "0" * 10, "1" * 4 + "0" * 6, "1" * 8 + "0" * 2
    found = over_tasks({"a": change(before, after)}, {"a": Answers(before=before, after=after, teacher=teacher)})["a"]
    assert_close((found.gap, found.closed), (0.4, 0.5))  # 8 - 4 of 10, and 4 of the 8 that were missing
    assert found.gap_low < found.gap < found.gap_high
    level = over_tasks({"a": change(teacher, after)}, {"a": Answers(before=teacher, after=after, teacher=teacher)})["a"]
    assert level.closed is None  # the teacher was not ahead


def test_items_that_turned_are_counted_both_ways():
    turned = Answers(before="1100", after="1010")
    assert (turned.forgotten, turned.newly_right, turned.discordant) == ([1], [2], 0.5)
    alike = Answers(before="11", after="11")
    assert (alike.forgotten, alike.newly_right, alike.discordant) == ([], [], 0.0)
    assert Answers(after="11").discordant is None
    with pytest.raises(ValueError, match="as many"):
        Answers(before="11", after="1")


def test_what_n_can_show_rests_on_how_many_answers_turned():
    before = "10" * 82  # 164 problems
    few, many = ("1" * 12 + before[12:], before.translate(str.maketrans("01", "10")))
    found = {
        name: over_tasks({"a": change(before, after)}, {"a": Answers(before=before, after=after)})["a"].detectable
        for name, after in (("few", few), ("many", many))
    }
    assert found["few"] == detectable(164, 6 / 164)
    assert found["few"] < 0.06 < detectable(164) < found["many"]
