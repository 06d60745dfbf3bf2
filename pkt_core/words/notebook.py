"""Results as small HTML tables for notebooks; no script, no style sheet, no Plotly."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

MOST_CELLS = 40
"""Rows and columns of a grid at most; a figure shows all."""


def html_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], colours: Any = None) -> str:
    """A table under its caption. colours: for each row the background of its cells, None for no colour."""
    head = "".join(f"<th>{escape(str(column))}</th>" for column in columns)
    lines = []
    for number, row in enumerate(rows):
        shades = colours[number] if colours is not None else [None] * len(row)
        cells = (
            f'<td style="background:{shade}">{escape(str(cell))}</td>' if shade else f"<td>{escape(str(cell))}</td>"
            for cell, shade in zip(row, shades, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<table><caption style="text-align:left">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def html_grid(caption: str, values: Any, *, larger_is_closer: bool) -> str:
    """Teacher layer x student layer, closer cells darker; at most 40 x 40 of them."""
    import numpy as np  # here, so that a list of runs does not import it

    all_cells = np.asarray(values, float)
    cells = all_cells[:MOST_CELLS, :MOST_CELLS]
    if cells.shape != all_cells.shape:
        caption += f" Shown: the first {len(cells)} x {cells.shape[1]} layers."
    low, high = (np.nanmin(cells), np.nanmax(cells)) if np.isfinite(cells).any() else (0.0, 1.0)
    share = np.nan_to_num((cells - low) / max(high - low, 1e-12), nan=0.0)
    strength = share if larger_is_closer else np.where(np.isfinite(cells), 1 - share, 0.0)
    rows = [[f"teacher {i}", *("-" if v != v else f"{v:.3f}" for v in row)] for i, row in enumerate(cells.tolist())]
    colours = [[None, *(f"rgba(0,90,160,{0.45 * one:.2f})" for one in row)] for row in strength.tolist()]
    return html_table(caption, ["layer", *(f"student {j}" for j in range(cells.shape[1]))], rows, colours)
