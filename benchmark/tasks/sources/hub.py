"""Rows from a repository on the Hugging Face hub, pinned, or from `--data-dir` in its columns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.common.hub import refuse_offline
from benchmark.tasks.sources.base import Place, Rows, Source
from benchmark.tasks.sources.files import Files
from vtrans.errors import SuiteError


@dataclass(frozen=True)
class Hub(Source):
    """A data set on the hub.

    Attributes:
        repository, revision: which, and its commit.
        config: name of the configuration, empty for the only one.
    """

    repository: str
    revision: str
    config: str = ""

    def at(self, folder: Path | None, place: Place) -> Source:
        """The files of the folder, where one is named."""
        return self if folder is None else Files(folder)

    def rows(self, place: Place, split: str) -> Rows:
        """Download a split, or read it from the cache."""
        from datasets import load_dataset

        name = f"{self.repository}/{self.config}" if self.config else self.repository
        remedy = "connect to the Hugging Face hub, or give --data-dir, or use a preset `quick` that needs neither"
        refuse_offline(name, remedy, dataset=True)
        try:
            data = load_dataset(self.repository, self.config or None, split=split, revision=self.revision)
        except Exception as error:  # the hub client raises its own kinds, requests' and OSError
            raise SuiteError(f"{name} cannot be fetched ({type(error).__name__})", remedy) from None
        names = getattr(data.features.get("label"), "names", None)
        return ((name, _named(dict(item), names)) for item in data)

    def describe(self, place: Place, splits: tuple[str, str]) -> str:
        """Repository and commit."""
        return f"{self.repository}@{self.revision[:12]}"


def _named(item: dict[str, Any], names: list[str] | None) -> dict[str, Any]:
    """The row, its class by name where the data set names it: a task may number classes otherwise."""
    label = item.get("label")
    return item | {"label": names[label]} if names and isinstance(label, int) and 0 <= label < len(names) else item
