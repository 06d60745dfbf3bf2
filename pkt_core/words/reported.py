"""Results that papers report on the four benchmarks, labelled as such; never in a column with measured results.

All from SemAlign, arXiv 2510.24208 version 1, tables 1 and 2: MMLU and GSM8K zero-shot accuracy, code pass@1, in per cent. The
paper gives no seeds and no intervals. Results of later versions on these benchmarks were not found.

Not covered: anything measured (`benchmarks/lines.py`).
"""

from __future__ import annotations

import pandas as pd

SOURCE = "reported, arXiv 2510.24208v1"
TASKS = ("MMLU", "GSM8K", "HumanEval", "MBPP")
CHAT = "Llama2-13B-Chat"
ROWS: tuple[tuple[str, str, str, tuple[float | None, ...]], ...] = (
    ("student, Llama2-7B-Chat", "none", "table 1", (44.20, 16.07, 14.05, 17.80)),
    (f"teacher, {CHAT}", "none", "table 1", (52.90, 20.55, 18.75, 19.20)),
    ("Seeking", CHAT, "table 1", (49.60, 28.23, 15.44, 20.60)),
    ("LaTen", CHAT, "table 1", (44.40, 20.47, 14.63, 18.20)),
    ("SemAlign v1", CHAT, "table 1", (50.30, 19.21, 17.34, 18.78)),
    ("teacher, CodeLlama-13B-Python", "none", "table 2", (None, None, 47.56, 37.80)),
    ("Seeking", "CodeLlama-13B-Python", "table 2", (None, None, 16.05, 21.40)),
    ("LaTen", "CodeLlama-13B-Python", "table 2", (None, None, 14.02, 17.80)),
    ("SemAlign v1", "CodeLlama-13B-Python", "table 2", (None, None, 20.12, 22.35)),
    ("teacher, WizardCoder-13B-Python", "none", "table 2", (None, None, 56.71, 41.60)),
    ("Seeking", "WizardCoder-13B-Python", "table 2", (None, None, 15.04, 19.80)),
    ("LaTen", "WizardCoder-13B-Python", "table 2", (None, None, 14.02, 18.60)),
    ("SemAlign v1", "WizardCoder-13B-Python", "table 2", (None, None, 19.46, 21.18)),
)
"""Model or method, its teacher, source table, and the four scores."""
CAUTION = (
    "Caution: the paper gives no seeds and no intervals. One standard error is about 0.4 points on MMLU, 1.0 on GSM8K, 3 on "
    "HumanEval (164 problems) and 1.7 on MBPP. Of SemAlign's gains over the student, only that on MMLU is clearly outside noise. "
    "Several scores are not multiples of 1/164 or 1/500, so the rows probably do not share one decoding protocol."
)


def table() -> pd.DataFrame:
    """One row per model or method, scores in per cent as printed."""
    return pd.DataFrame(
        [
            {
                "Model or method": name,
                "Teacher": teacher,
                **{task: "–" if value is None else f"{value:.2f}" for task, value in zip(TASKS, values, strict=True)},
                "Source": f"{SOURCE}, {where}",
            }
            for name, teacher, where, values in ROWS
        ]
    )
