"""Rows of one file, or of a folder that `datasets` saved, with whatever columns it has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.tasks.sources.base import Place, Rows, Source
from benchmark.tasks.sources.files import read_rows
from vtrans.errors import SuiteError

Row = tuple[str, dict[str, Any]]  # where it stands, and its columns
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, eq=False)
class Table(Source):
    """Rows that were read already.

    Attributes:
        train, evaluation: rows of the two splits, in the columns of their task.
        named: where they come from, for people.
        evaluated: the file of the latter, or that they were held out of the former's.
    """

    takes_folder = False

    train: Sequence[Row]
    evaluation: Sequence[Row]
    named: str
    evaluated: str

    def rows(self, place: Place, split: str) -> Rows:
        """Rows of a split."""
        return iter(self.train if split == place.train else self.evaluation)

    def describe(self, place: Place, splits: tuple[str, str]) -> str:
        """The files."""
        return self.named

    def at(self, folder: Path | None, place: Place) -> Source:
        """Itself; a folder is refused."""
        if folder is not None:
            raise SuiteError("--data names the rows", "leave out --data-dir")
        return self


def read_table(path: Path, splits: Sequence[str]) -> list[Row]:
    """All rows of a file (`.csv`, `.tsv`, `.jsonl`, `.parquet`, `.txt`), cells as they stand, or of a saved folder.

    Args:
        path: of the file or folder.
        splits: of a folder that has several, the first of these that it has.

    Raises:
        SuiteError: there is no such file or split, it cannot be read, or it is separated by something else.
    """
    if not path.exists():
        raise SuiteError(f"there is no {path}", "name a file of rows, or a folder that datasets saved")
    if path.is_dir():
        found = list(_saved(path, splits))
    elif path.suffix == ".parquet":
        found = list(_parquet(path))
    else:
        _check_delimiter(path)
        found = list(read_rows(path, typed=False))
    if not found:
        raise SuiteError(f"{path} has no rows", "put at least one there")
    return found


def saved_splits(path: Path) -> list[str]:
    """Names of the splits of a saved folder; none where it has no splits, or is a file."""
    data = _load(path) if path.is_dir() else None
    return list(data) if isinstance(data, dict) else []


def _check_delimiter(path: Path) -> None:
    if path.suffix != ".csv":
        return
    with path.open(encoding="utf-8", errors="replace") as stream:
        header = stream.readline()
    for mark, name in DELIMITERS.items():
        if mark in header and "," not in header:
            raise SuiteError(f"{path} is separated by {name}", "write it with commas, or with tabs as .tsv")


def _parquet(path: Path) -> Iterator[Row]:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table as read

    try:
        rows = read(path).to_pylist()
    except (OSError, ArrowException) as error:
        raise SuiteError(f"{path} cannot be read ({type(error).__name__})", "write it again as Parquet") from None
    return ((f"{path}:{number}", row) for number, row in enumerate(rows, 1))


def _load(path: Path) -> Any:
    from datasets import load_from_disk

    try:
        return load_from_disk(str(path))
    except Exception as error:  # pyarrow's own kinds, OSError, ValueError
        raise SuiteError(f"{path} cannot be read ({type(error).__name__})", "save it with save_to_disk") from None


def _saved(path: Path, splits: Sequence[str]) -> Iterator[Row]:
    """Rows of a saved data set; classes by name where it names them."""
    data = _load(path)
    if isinstance(data, dict):
        split = next((name for name in splits if name in data), None)
        if split is None:
            raise SuiteError(f"{path} has the splits {', '.join(data)}", f"save one as {splits[0]!r}")
        data = data[split]
    names = {column: feature.names for column, feature in data.features.items() if hasattr(feature, "names")}
    for number, row in enumerate(data, 1):
        yield f"{path}:{number}", row | {column: _name(row[column], known) for column, known in names.items()}


def _name(label: Any, names: Sequence[str]) -> Any:
    return names[label] if isinstance(label, int) and 0 <= label < len(names) else label
