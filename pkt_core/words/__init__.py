"""Terms, number formats and figure style, for all pages and reports.

`style` holds colours, axes, number formats, escaping; `glossary` explains the field's terms in two lines each, with a source;
`reported` holds results reported in papers, labelled as such and never in a column with measured results; `notebook` renders a result
as a small HTML table.

To add a term: an `Entry` in `GLOSSARY`, in the order in which readers meet it; pages refer to it by its name. Format numbers with
`style`, not with custom f-strings, so that a number has the same format everywhere.
"""
