"""Prompts from a Hugging Face dataset: `hf:OWNER/NAME[@REVISION][,config=C][,split=S][,text=COLUMN][,rows=N][,cut=N]`.

    hf:stanfordnlp/sst2,split=validation              hf:cais/mmlu,config=anatomy,split=test,text=question
    hf:stanfordnlp/imdb,split=test,cut=400            hf:./my_folder,text=sentence

A folder of data files works as well. The first rows of the split are streamed, in its order: nothing is downloaded
whole. Text comes from the named column, else the first there is of TEXT_COLUMNS. Other columns of words, whole
numbers and classes become labels, unless every row has a value of its own (an id) or one is longer than a label.

Rows from the hub are kept under the dataset's commit: what was read once is read without a network afterwards and stays
the same. Needs the package `datasets` (`pip install "semalign-pkt[data]"`).

Not covered: random draws from a whole split, datasets that need code of their own.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pkt_core.base import hub
from pkt_core.base.files import cache_root, write_text
from pkt_core.data.prompt_files import MISSING, lines, parse
from pkt_core.data.row_files import MOST_BYTES, SUFFIXES, read_file, read_rows
from pkt_core.errors import PromptError

PREFIX = "hf:"
TEXT_COLUMNS = ("text", "sentence", "prompt", "question", "content", "instruction", "premise", "title", "document")
SPLITS = ("train", "validation", "test")  # the first there is of these, where none is named
ROWS = 5000
LABEL_CHARACTERS = 80


@dataclass(frozen=True)
class Source:
    """Which rows of which dataset."""

    name: str
    """`OWNER/NAME` on the hub, or a local folder."""
    revision: str | None = None
    """Branch, tag or commit; None is the default branch."""
    config: str | None = None
    """Named part of a dataset that has several."""
    split: str | None = None
    """None takes the first there is of train, validation, test."""
    text: str | None = None
    """Column of the prompts; None takes the first there is of TEXT_COLUMNS."""
    rows: int = ROWS
    """At most this many, from the start."""
    cut: int | None = None
    """Prompts longer than this many characters end at the last space before; None leaves them whole."""

    @property
    def local(self) -> bool:
        return self.name.startswith((".", "/", "~"))

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        options = {"config": self.config, "split": self.split, "text": self.text, "cut": self.cut}
        options |= {"rows": self.rows} if self.rows != ROWS else {}
        return f"{PREFIX}{self.name}{at}" + "".join(f",{k}={v}" for k, v in options.items() if v is not None)


def source_of(spelling: str) -> Source:
    """A dataset as it is spelt. Raises PromptError in one sentence where the spelling is wrong."""
    first, *options = spelling.removeprefix(PREFIX).strip().split(",")
    name, _, revision = first.partition("@")
    source = Source(name.strip(), revision.strip() or None)
    if not source.local and (source.name.count("/") != 1 or not all(source.name.split("/"))):
        raise PromptError(
            f"Got the dataset {spelling!r}; expected hf:OWNER/NAME such as hf:stanfordnlp/sst2, or hf:./folder."
        )
    given: dict[str, Any] = {}
    for option in options:
        key, _, value = (part.strip() for part in option.partition("="))
        if key in ("rows", "cut"):
            if not value.isdecimal() or int(value) < 1:
                raise PromptError(f"{spelling}: got {key}={value}; expected a whole number of 1 or more.")
            given[key] = int(value)
        elif key in ("config", "split", "text") and value:
            given[key] = value
        else:
            raise PromptError(
                f"{spelling}: got {option!r}; expected config=, split=, text=, rows= or cut= with a value."
            )
    return replace(source, **given)


def dataset_rows(spelling: str) -> tuple[str, list[dict[str, str]]]:
    """The name with its commit, and rows of text and labels. Raises PromptError in one sentence for whatever is wrong."""
    source = source_of(spelling)
    if source.local:
        return spelling, streamed(source)
    key = hashlib.sha256(str(source).encode()).hexdigest()[:16]
    if not hub.hub_reachable():
        return newest_kept(source, key)
    commit = commit_of(source)
    path = cache_root() / "prompts" / f"hf-{key}-{commit}.jsonl"
    pinned = replace(source, revision=commit)
    if not path.is_file():
        write_text(path, lines(streamed(pinned)))
    return str(replace(source, revision=commit[:12])), parse(str(source), ".jsonl", path.read_bytes())


def newest_kept(source: Source, key: str) -> tuple[str, list[dict[str, str]]]:
    """What was read of this dataset before. Raises PromptError where nothing was."""
    paths = sorted((cache_root() / "prompts").glob(f"hf-{key}-*.jsonl"), key=lambda path: path.stat().st_mtime)
    if not paths:
        raise PromptError(
            f"The Hugging Face hub cannot be reached from here and {source} was not read before. Check the connection, "
            "or give a file or a local folder as hf:./folder."
        )
    commit = paths[-1].stem.rpartition("-")[2]
    rows = parse(str(source), ".jsonl", paths[-1].read_bytes())
    return str(replace(source, revision=commit[:12])), rows


def commit_of(source: Source) -> str:
    """The commit that a name means now. Raises PromptError where there is no such dataset."""
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(source.name, revision=source.revision, timeout=20).sha)
    except Exception as error:
        raise PromptError(explain(source, error)) from error


def streamed(source: Source) -> list[dict[str, str]]:
    """The first rows as texts and labels."""
    try:
        import datasets
    except ImportError as error:
        raise PromptError(
            f'Reading {source} needs the package datasets, which is not installed. Run pip install "semalign-pkt[data]", or give a file.'
        ) from error
    path = str(Path(source.name).expanduser()) if source.local else source.name
    if source.local and not Path(path).is_dir():
        raise PromptError(f"There is no folder {source.name}; expected one of data files such as .jsonl or .parquet.")
    if source.local:
        require_rows(Path(path))
    try:
        splits = datasets.load_dataset(path, source.config, revision=source.revision, streaming=True)
        split = source.split or next((s for s in SPLITS if s in splits), next(iter(splits)))
        if split not in splits:
            raise PromptError(f"{source} has the splits {', '.join(splits)}; got {split}. Name one of those.")
        rows = list(itertools.islice(splits[split], source.rows))
        features = splits[split].features or {}
    except PromptError:
        raise
    except Exception as error:
        raise PromptError(explain(source, error)) from error
    named = {key: kind.names for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)}
    return texts_and_labels(source, rows, named)


def require_rows(folder: Path) -> None:
    """PromptError where a text file of a local folder would be read wrongly: the package's readers are less strict, and name no line.

    Files over `MOST_BYTES` are left to those readers: only their first rows are streamed.
    """
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES and path.is_file() and path.stat().st_size <= MOST_BYTES:
            read_rows(path.name, path.suffix, read_file(path))


def texts_and_labels(
    source: Source, rows: list[Mapping[str, Any]], named: Mapping[str, list[str]]
) -> list[dict[str, str]]:
    """Rows without text are left out; `named` are the names of columns that hold numbers of classes."""
    columns = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    column = text_column(source, columns, rows)
    rows = [row for row in rows if isinstance(row.get(column), str) and row[column].strip()]
    if not rows:
        raise PromptError(
            f"{source} holds no text in {column}; expected at least one row. Name another column or split."
        )
    labels = {
        key: values
        for key in columns
        if key not in (column, "text") and (values := label_values((row.get(key) for row in rows), named.get(key)))
    }
    return [
        {"text": cut(row[column], source.cut), **{key: values[i] for key, values in labels.items()}}
        for i, row in enumerate(rows)
    ]


def text_column(source: Source, columns: list[str], rows: list[Mapping[str, Any]]) -> str:
    """The named column, or the first that is called like one of texts and holds some."""
    words = [key for key in columns if any(isinstance(row.get(key), str) for row in rows)]
    if source.text is not None:
        if source.text not in words:
            raise PromptError(
                f"{source} has the text columns {', '.join(words) or 'none'}; got {source.text}. Name one of those."
            )
        return source.text
    known = [key for key in TEXT_COLUMNS if key in words] or (words if len(words) == 1 else [])
    if not known:
        raise PromptError(
            f"{source} has the text columns {', '.join(words) or 'none'}; name the column of prompts with text=."
        )
    return known[0]


def label_values(values: Iterable[Any], names: list[str] | None) -> list[str] | None:
    """A column as labels, or None where it holds something else, ids or long text."""
    labels = []
    for value in values:
        if names is not None and isinstance(value, int) and 0 <= value < len(names):
            value = names[value]
        if value is not None and not isinstance(value, str | int):
            return None
        labels.append(MISSING if value is None else str(value))
    distinct = set(labels)
    if any(len(value) > LABEL_CHARACTERS for value in distinct) or len(distinct) == len(labels) > 2:
        return None
    return labels


def cut(text: str, characters: int | None) -> str:
    """At most so many characters, ending where a word does if there is a space."""
    if characters is None or len(text) <= characters:
        return text
    return text[: characters + 1].rpartition(" ")[0] or text[:characters]


def explain(source: Source, error: Exception) -> str:
    """One sentence for each way in which a dataset is not available."""
    text = " ".join(str(error).split())
    if "Config name is missing" in text or "BuilderConfig" in text:
        there = text.rpartition("[")[2].partition("]")[0].replace("'", "")
        return f"{source} has several configurations ({there}); name one of them with config=."
    if type(error).__name__ in (
        "RepositoryNotFoundError",
        "RevisionNotFoundError",
        "DatasetNotFoundError",
        "GatedRepoError",
    ):
        return f"There is no dataset {source} on the hub, or it requires a licence or a login. Check its name and revision."
    if "script" in text.lower():
        return f"{source} needs custom code, which is never run here. Choose a dataset of data files."
    return f"{source} could not be read ({text[:160]}). Check its name, split and the connection."
