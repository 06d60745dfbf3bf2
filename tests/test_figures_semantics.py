"""Pictures, tables and sentences of what states mean, from recorded results: axes, controls, zero, escaping."""

import json
from dataclasses import replace

import pytest
import recorded_studies

from pkt_core.alignment.choice import BasisChoice
from pkt_core.studies.inspection import text as inspection_text
from pkt_core.studies.inspection.figures import difference_figure, reading_figure, trajectory_figure
from pkt_core.studies.inspection.record import Meeting
from pkt_core.words import style

KINDS = {
    "plain": recorded_studies.inspection(),
    "after": recorded_studies.inspection(after=True),
    "strangers": recorded_studies.inspection(shared=False),
}
DRAWN = {
    f"{name} {kind}": (make, found)
    for kind, found in KINDS.items()
    for name, make in (("readings", reading_figure), ("trajectory", trajectory_figure))
} | {f"differences {kind}": (difference_figure, found.crossing) for kind, found in KINDS.items() if found.crossing}


@pytest.mark.parametrize(("make", "found"), DRAWN.values(), ids=DRAWN)
def test_every_figure_survives_json_names_its_axes_and_escapes_tokens(make, found):
    data = json.loads(make(found).to_json())
    axes = {name: axis for name, axis in data["layout"].items() if name[:5] in ("xaxis", "yaxis")}
    for letter in "xy":
        assert any(axis.get("title", {}).get("text") for name, axis in axes.items() if name.startswith(letter))
    assert "script>" not in json.dumps(data).replace("script&gt;", "")
    assert "<b>city" not in json.dumps(data)


def test_readings_show_the_control_and_frame_the_chosen_layers():
    figure = reading_figure(recorded_studies.inspection(after=True))
    titles = [a.text for a in figure.layout.annotations]
    assert sum("permuted" in title for title in titles) == 1
    assert sum("after" in title for title in titles) == 1
    assert len(figure.data) == 5
    frames = [(shape.y0 + 0.5, shape.y1 - 0.5) for shape in figure.layout.shapes]
    assert sorted(frames) == [(2, 2), (2, 2), (5, 5), (5, 5), (5, 5)]
    assert figure.layout.coloraxis.cmin == 0
    nearest = max(value for trace in figure.data for row in trace.z for value in row)
    assert nearest <= figure.layout.coloraxis.cmax <= nearest + 0.2


def test_deep_models_drop_the_numbers_not_the_tokens():
    deep = recorded_studies.inspection()
    own = deep.teacher.own
    layers = [layer % 6 for layer in range(40)]
    own = replace(
        own,
        top=[own.top[layer] for layer in layers],
        ranks=[ranks and [ranks[layer] for layer in layers] for ranks in own.ranks],
        cosines=[cosines and [cosines[layer] for layer in layers] for cosines in own.cosines],
    )
    deep = replace(
        deep, teacher=replace(deep.teacher, n_layers=40, own=own, lens=[deep.teacher.lens[layer] for layer in layers])
    )
    trace = reading_figure(deep).data[0]
    assert len(trace.z) == 40
    assert trace.text[39][0] == style.token(own.top[39][0][0])
    assert "<br>" in reading_figure(recorded_studies.inspection()).data[0].text[0][0]


def test_trajectories_leave_out_what_a_vocabulary_lacks_and_draw_chance():
    figure = trajectory_figure(recorded_studies.inspection())
    names = [trace.name for trace in figure.data if trace.showlegend]
    assert names.count("by chance") == 1
    assert any("asked for" in name for name in names)
    assert not any("student predicts" in name for name in names)  # the sample's vocabularies lack it
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # rank 1 on top
    middle = next(trace for trace in figure.data if trace.name == "by chance")
    assert set(middle.y) == {2048.5}


def test_difference_bars_stand_around_a_real_zero_with_the_control_beside():
    crossing = recorded_studies.inspection(after=True).crossing
    figure = difference_figure(crossing)
    bars = next(trace for trace in figure.data if trace.type == "bar")
    assert list(bars.x) == pytest.approx([one.carried - one.own for one in crossing.differences])
    assert min(bars.x) < 0 < max(bars.x)
    low, high = figure.layout.xaxis2.range
    assert low == -high
    assert high > max(crossing.control_reach, *map(abs, bars.x))
    lines = next(trace for trace in figure.data if trace.name == "the control's largest difference")
    assert {x for x in lines.x if x is not None} == {-crossing.control_reach, crossing.control_reach}
    assert [trace.name for trace in figure.data if trace.xaxis == "x"] == [
        "teacher, mapped", "student", "student after", "control: vocabulary permuted"
    ]  # fmt: skip
    assert "student after" not in [
        trace.name for trace in difference_figure(recorded_studies.inspection().crossing).data
    ]


def test_tables_hold_the_numbers():
    found = recorded_studies.inspection(after=True)
    assert len(inspection_text.reading_table(found)) == 5 * (6 + 3 + 6 + 6 + 3)
    assert len(inspection_text.trajectory_table(found)) == 2 * (6 + 3 + 6 + 6 + 3)
    assert inspection_text.difference_table(found.crossing)["difference"].tolist() == pytest.approx(
        [one.carried - one.own for one in found.crossing.differences]
    )
    lens = inspection_text.lens_table(found)
    assert lens["Teacher layer"].tolist() == ["5", "4", "3", "2", "1", "0"]
    assert len(lens) == 6
    name, p = found.teacher.lens[5][2]
    assert lens.iloc[0, 1].endswith(f", {style.visible(name)} {style.number(p)}")
    measured = recorded_studies.basis_options()
    numbers = inspection_text.options_table(measured, (5, 2))
    assert len(numbers) == 12
    assert numbers["teacher_top1"].tolist() == [option.teacher.top1 for option in measured.options]
    assert numbers["cosine"].tolist() == [option.cosine[5][2] for option in measured.options]


def test_the_chosen_way_is_bold_and_an_impossible_one_says_why():
    shown = inspection_text.options_shown(
        recorded_studies.basis_options(refused=True), BasisChoice(gain=True, norm=False, ridge=1e-3), (5, 2)
    )
    bold = shown["Gain"].str.startswith("**")
    assert bold.sum() == 1
    assert shown[bold].iloc[0][["Gain", "Final norm", "Ridge"]].tolist() == [
        "**folded in**",
        "**not applied**",
        "**0.001**",
    ]
    assert shown[shown["Ridge"] == "0"]["Condition"].str.contains("needs a ridge").all()
    assert (shown[shown["Ridge"] == "0"]["Map cosine"] == "").all()
    assert inspection_text.small(3e-14) == "3e−14"


def test_sentences_hold_the_reading_against_chance_and_name_the_heads():
    found = recorded_studies.inspection()
    said = inspection_text.readings(found)
    assert "cosine −0.17, within chance (control 0.09, random directions ±0.20)" in said
    strong = replace(found, crossing=replace(found.crossing, meeting=[[0.7] * 3] * 6))
    assert "cosine 0.70, above chance" in inspection_text.readings(strong)
    chosen = next(i for i, one in enumerate(found.followed) if one.asked)
    rank, permuted = (space.ranks[chosen][5] for space in (found.crossing.carried, found.crossing.permuted))
    headline = inspection_text.inspected(found)
    assert f"at rank {rank:,} of {found.crossing.carried.n_tokens:,} (permuted map: rank {permuted:,})" in headline
    assert "share 20 tokens" in inspection_text.inspected(recorded_studies.inspection(shared=False))
    facts = recorded_studies.basis_options()
    assert "is tied" in inspection_text.head_in_words(facts.teacher, "teacher")
    other = replace(facts.student, tied=False, softcap=30.0)
    assert "is not tied" in inspection_text.head_in_words(other, "student")
    assert "capped at 30" in inspection_text.head_in_words(other, "student")
    assert style.visible(" a\n") == "·a⏎"
    assert style.token("<b>") == "&lt;b&gt;"


def test_a_meeting_is_beyond_chance_above_both_random_directions_and_the_control():
    """The threshold belongs to the statistic: two standard deviations of random directions, 2 / sqrt(d)."""
    meeting = recorded_studies.inspection().meeting
    crossing = recorded_studies.inspection().crossing
    assert (meeting.cosine, meeting.control) == (crossing.meeting[5][2], crossing.meeting_permuted[5][2])
    assert not meeting.beyond_chance
    assert meeting.random == pytest.approx(2 / 96**0.5)
    assert recorded_studies.inspection(shared=False).meeting is None
    assert Meeting(cosine=0.3, control=0.2, random=0.1).beyond_chance
    assert not Meeting(cosine=0.3, control=0.4, random=0.1).beyond_chance
    assert not Meeting(cosine=0.3, control=0.2, random=0.3).beyond_chance
