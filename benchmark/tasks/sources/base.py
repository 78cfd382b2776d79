"""What every source of rows can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Rows = Iterable[tuple[str, dict[str, Any]]]  # where a row stands, for error messages, and its columns


@dataclass(frozen=True)
class Place:
    """What a task calls its rows, wherever they come from.

    Attributes:
        name: of the task.
        folder: that holds its files in the folder of `--data-dir`.
        formats: suffixes of those files, `jsonl`, `csv` or `txt`, the usual one first.
        columns: that a row needs, for people.
        train, evaluation: names of the two splits.
    """

    name: str
    folder: str
    formats: tuple[str, ...]
    columns: str
    train: str = "train"
    evaluation: str = "validation"


class Source(ABC):
    """A source of the rows of a task's splits.

    Attributes:
        takes_folder: whether the folder of `--data-dir` may stand in its place.
        evaluated: what the rows of the evaluation split are called, where not by the name of the task.
    """

    takes_folder = True
    evaluated = ""

    @abstractmethod
    def rows(self, place: Place, split: str) -> Rows:
        """Rows of a split, as columns.

        Raises:
            SuiteError: the source lacks the split, or is out of reach.
        """

    @abstractmethod
    def describe(self, place: Place, splits: tuple[str, str]) -> str:
        """Where the rows of both splits come from, for records."""

    def at(self, folder: Path | None, place: Place) -> "Source":
        """The source to read where a user names a folder by `--data-dir`, or none.

        Raises:
            SuiteError: a folder is named for rows that come from elsewhere.
        """
        return self

    def has(self, place: Place, split: str) -> bool:
        """Whether it has a split that a task can do without."""
        return True

    def check(self, place: Place, splits: tuple[str, str]) -> None:  # noqa: B027 (most sources have no files)
        """Raise `SuiteError` where a file of the splits is missing: before hours of other tasks."""
