"""What changed? A run's student before and after beside the teacher: tasks, side effects, generations."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import loaders, moved, picked_parts, run_parts, widgets
from dashboard.state import Param
from pkt_core.report import captions, figures, look, sentences, tables

MEASURES = {
    "bits_per_byte": "Bits per byte, general text",
    "kl_to_teacher": "KL to the teacher, bits per token",
    "top1_agreement": "Same most likely token as the teacher",
}


def changes_shown(changes: dict[str, Any]) -> pd.DataFrame:
    """Paired changes as text with sensible digits."""
    return pd.DataFrame(
        [
            {
                "Task": look.task_name(task),
                "Prior": look.percent(c.get("prior"), 1),
                "Before": look.percent(c["before"], 1),
                "After": look.percent(c["after"], 1),
                "Change (points)": f"{100 * c['difference']:+.1f}".replace("-", "−"),
                "95 % interval": f"{100 * c['low']:+.1f} to {100 * c['high']:+.1f}".replace("-", "−"),
                "p (McNemar)": look.p_value(c["p_value"]).removeprefix("= "),
                "n": c["n"],
            }
            for task, c in changes.items()
        ]
    )


def side_effects(behaviour: dict[str, Any]) -> pd.DataFrame:
    """What the transfer did elsewhere, one row per measure, before, after and teacher side by side."""
    rows = []
    for key, label in MEASURES.items():
        row: dict[str, Any] = {"Measure": label}
        for who in ("before", "after", "teacher"):
            found = (behaviour.get(who) or {}).get(key)
            digits = 3
            row[who.capitalize()] = (
                f"{look.number(found['value'], digits)} ({look.number(found['low'], digits)} to {look.number(found['high'], digits)})"
                if found
                else "–"
            )
        rows.append(row)
    return pd.DataFrame(rows)


def alignment_words(results: dict[str, Any]) -> str | None:
    """Alignment before and after in one sentence, with its control."""
    found = results.get("alignment")
    if not found or "before" not in found:
        return None
    before, after, control = found["before"], found["after"], found.get("control") or {}
    words = f"At the trained pair of layers ({found['part']}, {found['pooling']} token of {found['n']} prompts), debiased CKA went from {look.number(before['cka'])} to {look.number(after['cka'])}"
    if "cosine" in after:
        words += f" and the cosine to the mapped teacher from {look.number(before['cosine'])} to {look.number(after['cosine'])}"
        if "after" in control:
            words += (
                f" (shuffled-vocabulary control: {look.number(control['before'])} to {look.number(control['after'])})"
            )
    return (
        words
        + ". Both were measured on prompts the run did not train on; a cosine that rises is what was trained, not yet knowledge."
    )


def generations(rows: list[dict[str, Any]]) -> None:
    """What the three write after the same prompts, as plain text in a table."""
    if not rows:
        st.caption("This run wrote no generations.")
        return
    order = ["prompt", "expected", "before", "after", "teacher"]
    table = pd.DataFrame(rows)[order].map(lambda text: " ".join(str(text).split()))
    only = widgets.toggle("Only where before and after differ", Param.ONLY_DIFFERENT)
    if only:
        table = table[table["before"] != table["after"]]
    config = {name: st.column_config.TextColumn(name.capitalize(), width="medium") for name in order}
    st.dataframe(table, hide_index=True, column_config=config, alt="Generations side by side")
    st.caption(f"{len(table)} of {len(rows)} prompts, greedy decoding. `Expected` is the answer that counts as right.")


def show_results(run: Any, results: dict[str, Any]) -> None:
    behaviour, changes = results["behaviour"], results["changes"]
    widgets.answer(sentences.behaviour(results), recorded=run.recorded)
    if changes:
        widgets.figure(
            figures.behaviour_figure(behaviour, changes), captions.BEHAVIOUR, tables.behaviour_table(behaviour), "behaviour",
            alt="Share of answers right by task: student before, student after, teacher, prior",
        )  # fmt: skip
        st.dataframe(changes_shown(changes), hide_index=True, alt="Paired changes by task")
    st.subheader("What did it cost elsewhere?", anchor=False)
    st.dataframe(
        side_effects(behaviour), hide_index=True, alt="Side effects: before, after, teacher with 95 % intervals"
    )
    n = (behaviour["after"].get("bits_per_byte") or {}).get("n_texts")
    st.caption(
        f"95 % bootstrap intervals over {n} texts. Lower bits per byte is better; lower KL and higher agreement are nearer to the teacher."
    )
    if words := alignment_words(results):
        st.markdown(widgets.plain(words))
    moved.show(run, results)
    st.subheader("What do they write?", anchor=False)
    generations(results.get("generations") or [])
    picked_parts.continuations(run.id)
    with st.expander("How this was made"):
        if results.get("command"):
            widgets.command(results["command"], "The command that made it")
        st.write(widgets.plain(made(results)))
        st.json(results.get("versions") or {}, expanded=False)


def made(results: dict[str, Any]) -> str:
    """Layers, parameters, time and memory of a run."""
    layers, peak = results["layers"], (results.get("memory") or {}).get("peak")
    pairs = layers.get("pairs") or [layers]
    listed = ", ".join(f"{pair['teacher']} to {pair['student']}" for pair in pairs)
    steps = (
        f"{results['trained_parameters']:,} parameters trained" if results.get("steps", 1) else "no step of training"
    )
    said = f"Teacher to student layer: {listed}, chosen by {layers['chosen_by']}; {steps}; "
    said += f"{widgets.spent(sum(results['seconds'].values()))} in all"
    return f"{said}; at most {look.memory(peak / 2**30)} of memory held." if peak else f"{said}."


def show() -> None:
    widgets.head(
        "What changed?",
        "The student before and after a transfer, beside the teacher: what it learnt, and what that cost elsewhere.",
    )
    with widgets.errors():
        chosen = run_parts.run_choice("Run", finished=True)
        if chosen is None:
            widgets.empty(
                "No finished run yet", "Start one on the page Transfer; it takes about a minute for the demo pair."
            )
            st.page_link("views/transfer.py", label="Make it flow", icon=":material/moving:")
            return
        run = loaders.run(chosen)
        st.caption(widgets.plain(f"{chosen}: {run_parts.describe(run.plan())}"))
        results = run.results()
        if results and "behaviour" not in results and (unmeasured := results.get("unmeasured")):
            widgets.empty("Trained, but not measured here", widgets.plain(unmeasured))
            widgets.command(f"pkt evaluate {chosen}", "Where the teacher is")
            return
        if not results or "behaviour" not in results:
            widgets.empty(
                "This run was stopped before its behaviour was measured",
                "Measure it now from a terminal, or start it again on the page Transfer.",
            )
            widgets.command(f"pkt evaluate {chosen}")
            return
        show_results(run, results)


show()
