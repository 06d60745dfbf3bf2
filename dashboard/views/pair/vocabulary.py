"""How the two vocabularies match on the page Pair: shared tokens, unmatched tokens, and tokens excluded on purpose."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import widgets
from pkt_core.studies.comparison import vocabularies
from pkt_core.studies.comparison.record import VocabularyFacts
from pkt_core.words import style


def draw(facts: VocabularyFacts) -> None:
    """The count, both vocabularies, and examples of unmatched tokens."""
    st.markdown(
        f"**{facts.n:,} shared tokens**, {style.percent(facts.share, 1)} of the smaller vocabulary.",
        help="Tokens with the same text in both vocabularies, whatever their ids. The semantic map is built from their bases.",
    )
    if facts.same_tokenizer:
        st.caption("Both tokenise identically, so positions and predictions can be compared one by one.")
    else:
        st.caption(
            "They tokenise differently. Similarity is computed over shared spans of characters; token-by-token transfer is not possible."
        )
    st.caption(widgets.plain(vocabularies.sentence(facts)))
    with st.expander("Matched and unmatched tokens"):
        table = pd.DataFrame(vocabularies.counts(facts)).map("{:,}".format)
        widgets.small_table(table)
        if same := vocabularies.same_names(facts):
            names = ", ".join(same[:5]) + (" and others" if len(same) > 5 else "")
            st.caption(
                widgets.plain(
                    f"Special tokens are never matched, even where both have one of the same name ({names}): their meaning "
                    "comes from training."
                )
            )
        for title, (n, some) in vocabularies.left_out(facts).items():
            st.caption(f"{title}: {n:,}" + (f", {len(some)} of them" if n > len(some) else ""))
            st.text(" ".join(repr(token) for token in some))
