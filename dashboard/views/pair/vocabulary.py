"""How the two vocabularies match, as the pair page shows it: how many tokens, which not, and what is left out on purpose."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import widgets
from pkt_core.studies.comparison import vocabularies
from pkt_core.studies.comparison.record import VocabularyFacts
from pkt_core.words import style


def draw(facts: VocabularyFacts) -> None:
    """The count, both sides of it, and examples of what has no partner."""
    st.markdown(
        f"**{facts.n:,} tokens** both know, {style.percent(facts.share, 1)} of the smaller vocabulary.",
        help="Tokens that stand for the same text in both vocabularies, whatever their ids. The semantic map is built from their bases.",
    )
    if facts.same_tokenizer:
        st.caption("Both cut text into the same tokens, so positions and predictions can be compared one by one.")
    else:
        st.caption(
            "They cut text differently: similarity works, by the characters that tokens cover; token by token transfer does not."
        )
    st.caption(widgets.plain(vocabularies.sentence(facts)))
    with st.expander("Which are matched, and which not"):
        table = pd.DataFrame(vocabularies.counts(facts)).map("{:,}".format)
        widgets.small_table(table)
        if same := vocabularies.same_names(facts):
            names = ", ".join(same[:5]) + (" and others" if len(same) > 5 else "")
            st.caption(
                widgets.plain(
                    f"Special tokens are never matched, also where both have one of the same name ({names}): what they mean is "
                    "what training made them mean."
                )
            )
        for title, (n, some) in vocabularies.left_out(facts).items():
            st.caption(f"{title}: {n:,}" + (f", {len(some)} of them" if n > len(some) else ""))
            st.text(" ".join(repr(token) for token in some))
