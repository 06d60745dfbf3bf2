"""The page Tokens in Streamlit's own test harness, and its figures: what is asked, what is shown, and hostile text shown literally."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import recorded_studies
from pages import finished_run, page, words

from dashboard import widgets
from pkt_core.evaluation.statistics import Estimate
from pkt_core.studies.token_change import figures as token_change_figures
from pkt_core.studies.token_change import text as token_change_text
from pkt_core.studies.token_change.figures import COLOURINGS, next_figure, reliability_figure, sentence_figure
from pkt_core.studies.token_change.record import TokenChange
from pkt_core.words import style

pytestmark = [pytest.mark.usefixtures("answers"), pytest.mark.filterwarnings("default")]
MODELS = {"teacher": {"name": "demo:teacher"}, "student": {"name": "demo:student"}}


def apart():
    """Of a teacher that cuts text otherwise than its student."""
    return recorded_studies.recorded("token_change_apart", TokenChange)


@pytest.fixture(autouse=True)
def found(answers, monkeypatch):
    """An engine with readings of tokens, and a run that keeps its student."""
    made = finished_run("one", **MODELS)
    (made.folder / "student").mkdir()
    (made.folder / "student" / "model.safetensors").write_bytes(b"")
    known = answers.find

    def find(function, arguments):
        if function == "token_change":
            return recorded_studies.token_change()
        return recorded_studies.inspection(after=True) if function == "inspect_token" else known(function, arguments)

    monkeypatch.setattr(answers, "find", find)
    return answers


def asked(answers, function):
    return [arguments for name, arguments in answers.asked if name == function][-1]


def test_the_page_says_where_and_whether_for_the_better(found):
    app = page("tokens", run="one")
    assert not app.exception
    assert asked(found, "token_change") == {"run": "one", "texts": "tasks", "seed": 0, "n": 120}
    said, read = words(app).replace("\\", ""), recorded_studies.token_change()
    flipped = f"{100 * (1 - read.same_top.value):.0f} % of {read.n_tokens} tokens"
    assert f"prediction changed at {flipped}" in said
    assert f"{100 * read.half / read.n_tokens:.0f} % that changed most" in said
    assert "Its predictions are not significantly better or worse" in said  # of four texts
    assert "did not significantly approach or leave the teacher" in said
    table = app.dataframe[0].value
    changed = {one.id: np.mean(one.change.kl) for one in read.sentences}
    assert table["sentence"].tolist() == sorted(changed, key=changed.get, reverse=True)
    verdicts = dict(zip(table["sentence"], table["verdict"], strict=True))
    assert [verdicts[i] for i in range(4)] == ["newly right"] * 2 + ["right before and after"] * 2
    assert len(app.get("plotly_chart")) == 3


def test_only_what_changed_leaves_the_unchanged_out():
    app = page("tokens", run="one", differ="true")
    flips = {one.id: 0 in one.change.same_top for one in recorded_studies.token_change().sentences}
    assert sorted(app.dataframe[0].value["sentence"]) == [i for i, flipped in flips.items() if flipped] == [0, 1, 3]


def test_the_link_names_sentence_token_texts_and_colour(found):
    app = page(
        "tokens",
        run="one",
        sentence="1",
        token="2",
        read="my prompts",
        shade="Nearer the teacher",
        picked="7, 3",
        texts="40",
    )
    assert not app.exception
    request = asked(found, "token_change")
    assert (request["texts"], request["ids"], request["n"], request["prompts"]) == ("prompts", [7, 3], 40, "facts")
    one = recorded_studies.token_change().sentences[1]
    assert f"at the position of “{one.tokens[2][0]}”" in words_of_headers(app)
    assert asked(found, "inspect_token")["text"] == one.text
    assert asked(found, "inspect_token")["at"] == one.tokens[2][1] - 1  # the token before decides


def words_of_headers(app):
    return " ".join(one.value for one in app.subheader).replace("\\", "").replace("·", " ")


def test_the_layers_that_changed_come_first_and_the_inspector_opens_there(found):
    app = page("tokens", run="one", sentence="0", token="7")
    assert not app.exception
    table = next(one.value for one in app.dataframe if "Layer (from 0)" in one.value)
    assert len(table) == 3
    assert "layers changed their nearest token" in words(app)
    app.button(key="inspect").click().run()
    assert not app.exception
    assert app.title[0].value == "What does a state encode?"
    request = asked(found, "inspect_token")
    assert request["text"].startswith("<script>")
    read = recorded_studies.token_change().sentences[0].tokens[7][1] - 1
    assert (request["run"], request["pair"], request["at"]) == ("one", "demo", read)


def test_a_first_token_has_no_layers_to_read():
    app = page("tokens", run="one", sentence="1", token="1")
    assert not app.exception
    assert "the Inspector cannot show it" in words(app)


def test_a_run_without_weights_and_a_bad_link_say_so():
    finished_run("bare", **MODELS)
    assert "trained weights are not stored" in words(page("tokens", run="bare"))
    app = page("tokens", run="one", read="tea leaves", shade="beige", sentence="99", token="99")
    assert not app.exception
    assert any("tea leaves" in one.value for one in app.info)


def test_a_reading_under_way_shows_progress(found):
    found.status = "working"
    app = page("tokens", run="one")
    assert not app.exception
    assert "Reading token by token" in app.get("progress")[0].proto.text


def test_hostile_text_is_shown_literally():
    app = page("tokens", run="one", sentence="0", token="2")
    assert not app.exception
    for one in [*app.markdown, *app.caption, *app.subheader, *app.info]:
        assert not re.search(r"(?<!\\)(\]\(|:red\[|\$latex|<script|\*\*b)", str(one.value))
        assert not getattr(one, "allow_html", False)
    assert re.search(r"(?<!\\)<script", "a <script> that is not escaped would be found")
    assert widgets.plain(":red[y] $latex$") == "\\:red\\[y\\] \\$latex\\$"
    for figure in (
        *(sentence_figure(recorded_studies.token_change().sentences[0], key, 2) for key in COLOURINGS),
        next_figure(recorded_studies.token_change().sentences[0], 2),
    ):
        drawn = figure.to_json().replace("\\u003c", "<").replace("\\u0026", "&")
        assert "<script" not in drawn
        assert "&lt;script" in drawn


@pytest.mark.parametrize("alike", [True, False])
def test_every_colouring_has_a_number_per_predicted_token_or_says_it_has_none(alike):
    one = (recorded_studies.token_change() if alike else apart()).sentences[0]
    n = len(one.tokens) - 1
    for key, by in COLOURINGS.items():
        values = by.of(one)
        assert (values is None) == (key == "teacher" and not alike)
        assert values is None or len(values) == n
        figure = sentence_figure(one, key, 1)
        boxes = [box for trace in figure.data if trace.type == "bar" for box in trace.customdata]
        assert sorted(box[0] for box in boxes) == list(range(n + 1))
    saved = np.subtract(one.after.bits, one.before.bits)  # fewer bits are better, below zero
    assert COLOURINGS["bits"].of(one) == pytest.approx(saved.tolist())


def test_unchanged_tokens_stay_grey_and_changed_ones_do_not():
    by = COLOURINGS["bits"]
    assert token_change_figures.colour(0.0, by) is None
    better, worse = token_change_figures.colour(-6.0, by), token_change_figures.colour(6.0, by)
    assert better != worse
    assert token_change_figures.colour(-60.0, by) == better  # beyond the scale the colour stays
    assert token_change_figures.ink("rgb(250, 250, 250)") == "#000000"
    assert token_change_figures.ink("rgb(8, 48, 107)") == "#ffffff"


def test_long_texts_break_between_tokens():
    found = token_change_figures.places(["x" * 30] * 5)
    assert [line for line, _, _ in found] == [0, 0, 1, 1, 2]
    assert token_change_figures.wide("東京") == 4


def test_sentences_tables_and_other_tokenizers():
    alike, other = recorded_studies.token_change(), apart()
    plain = recorded_studies.recorded("token_change_plain", TokenChange)
    assert "did not significantly approach" in token_change_text.tokens(alike)
    surely = {"kl_teacher_change": Estimate(-0.3, -0.5, -0.1, 4), "bits_change": Estimate(0.2, 0.1, 0.3, 4)}
    said = token_change_text.tokens(replace(alike, whole={**alike.whole, **surely}))
    assert "It predicts worse" in said
    assert "It came closer to the teacher" in said
    assert "answers" in token_change_text.tokens(alike)
    assert "bits per token" not in token_change_text.tokens(other)
    assert "answers" not in token_change_text.tokens(plain)
    assert "No prediction changed" in token_change_text.tokens(replace(alike, half=0))
    assert token_change_text.direction(Estimate(0.0, -1.0, 1.0, 9), ("a", "b", "c")) == "c"
    spans = other.sentences[0].spans
    assert list(token_change_text.spans_table(other.sentences[0])["change"]) == pytest.approx(
        [after - before for _, _, _, before, after in spans]
    )
    assert token_change_text.ranked(other)["teacher_bits"].notna().all()
    assert len(token_change_text.tokens_table(alike.sentences[0])) == len(alike.sentences[0].tokens) - 1
    before, after = (alike.calibration[who] for who in ("before", "after"))
    assert before.overconfident
    assert after.modest
    said = token_change_text.calibration(alike.calibration)
    assert f"overconfident (confidence {style.percent(before.confidence)}, right {style.percent(before.rate)}" in said
    assert f"after, underconfident (confidence {style.percent(after.confidence)}" in said
    assert len(token_change_text.calibration_table(alike.calibration)) == 3 * len(before.curve)
    assert json.loads(reliability_figure(alike.calibration).to_json())["data"]
