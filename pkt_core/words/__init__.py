"""The words and the look of numbers, figures and terms, wherever they are shown.

`style` holds colours, axes, number formats, escaping; `glossary` explains the field's terms in two lines each, with a source;
`reported` holds what papers report, tagged as such, never in a column with anything measured here; `notebook` shows a result as a
small HTML table.

To add a term: an `Entry` in `GLOSSARY`, in the order in which a reader meets it; pages then offer it by its name. To format a number,
use `style` and no f-string of your own, so that the same number looks the same everywhere.
"""
