"""Rows from files: JSON lines, CSV with a header, or plain text. The one reader of each format."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from benchmark.tasks.sources.base import Place, Rows, Source
from vtrans.errors import SuiteError


@dataclass(frozen=True)
class Files(Source):
    """Files `ROOT/NAME/SPLIT.jsonl` (or `.csv`, `.txt`); `ROOT/glue/NAME` for tasks that lie in a folder `glue`.

    Attributes:
        root: folder of all tasks.
        train, evaluation: files of the two splits, where they are named one by one; then `root` plays no part.
    """

    root: Path = Path()
    train: Path | None = None
    evaluation: Path | None = None

    def at(self, folder: Path | None, place: Place) -> Source:
        """Itself, or where its files are not named one by one, those of the folder."""
        return self if folder is None or self.train else Files(folder)

    def __post_init__(self) -> None:
        if bool(self.train) != bool(self.evaluation):
            raise SuiteError("one file of two is named", "name both, train and evaluation")

    def rows(self, place: Place, split: str) -> Rows:
        """Rows of a file."""
        return read_rows(self._found(place, split))

    def has(self, place: Place, split: str) -> bool:
        """Whether there is a file of the split."""
        return any(path.is_file() for path in self._candidates(place, split))

    def check(self, place: Place, splits: tuple[str, str]) -> None:
        """Find the files of both splits."""
        for split in splits:
            self._found(place, split)

    def describe(self, place: Place, splits: tuple[str, str]) -> str:
        """Names of both files."""
        found = [self._found(place, split) for split in splits]
        return f"folder, {found[0].parent.name}/{found[0].name} and {found[1].name}"

    def _candidates(self, place: Place, split: str) -> list[Path]:
        if self.train and self.evaluation:
            named = {place.train: self.train, place.evaluation: self.evaluation}
            return [named[split]] if split in named else []
        shared = self.root / "glue" / place.folder
        folder = shared if shared.is_dir() else self.root / place.folder
        return [folder / f"{split}.{suffix}" for suffix in place.formats]

    def _found(self, place: Place, split: str) -> Path:
        candidates = self._candidates(place, split)
        for path in candidates:
            if path.is_file():
                return path
        name = f"{candidates[0].parent.name}/{candidates[0].name}"
        raise SuiteError(f"{self.root} has no {name}", f"put it there, columns {place.columns}")


def read_rows(path: Path, typed: bool = True) -> Rows:
    """Rows of a file by its suffix: `.jsonl` objects, `.csv` and `.tsv` under a header, `.txt` lines as column `text`.

    Labels of CSV are numbers where they can be; with `typed=False` they are text, like all cells. A row may hold any
    character but a line break: U+2028 and the like end no row.

    Raises:
        SuiteError: the file cannot be read, is not UTF-8, or a line is no row.
    """
    reader = {".jsonl": _json_lines, ".csv": _csv_lines, ".tsv": _csv_lines, ".txt": _text_lines}.get(path.suffix)
    if reader is None:
        raise SuiteError(f"{path} is of no known format", "write .jsonl, .csv, .tsv or .txt")
    try:
        with path.open(encoding="utf-8-sig", newline="" if path.suffix in (".csv", ".tsv") else "\n") as stream:
            for where, item in reader(path, stream):
                yield where, _typed(item) if typed and path.suffix in (".csv", ".tsv") else item
    except csv.Error as error:
        raise SuiteError(f"{path} is no CSV ({error})", "close its quotes, or write .jsonl") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} cannot be read ({type(error).__name__})", "write it as UTF-8 text") from None


def _json_lines(path: Path, stream: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(stream, 1):
        if line.strip():
            try:
                item = dict(json.loads(line))
            except (ValueError, TypeError):
                raise SuiteError(f"{path}:{number} is not a JSON object", "write one object per line") from None
            if "\\u" in line and not _encodes(item):
                raise SuiteError(f"{path}:{number} has half of a character, a lone surrogate", "mend its escape")
            yield f"{path}:{number}", item


def _encodes(item: dict[str, Any]) -> bool:
    """Whether all text of an object can be written."""
    try:
        return bool(json.dumps(item, ensure_ascii=False).encode("utf-8"))
    except UnicodeEncodeError:
        return False


def _csv_lines(path: Path, stream: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(2**31 - 1)
    tabs = path.suffix == ".tsv"  # in which quotes are characters like others
    reader = csv.DictReader(
        stream, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
    )
    names = reader.fieldnames or []
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SuiteError(f"{path} has two columns called {twice!r}", "rename one")
    for item in reader:
        if None in item or None in item.values():
            raise SuiteError(f"{path}:{reader.line_num} has another number of columns than the header", "quote commas")
        yield f"{path}:{reader.line_num}", item


def _typed(item: dict[str, Any]) -> dict[str, Any]:
    return item | ({"label": _number(item["label"])} if "label" in item else {})


def _number(value: str) -> Any:
    """A label in a CSV cell: a number where it is one, else its text, the name of a class."""
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _text_lines(path: Path, stream: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(stream, 1):
        yield f"{path}:{number}", {"text": line if line.strip() else ""}  # blank ones empty: the rows of the hub
