"""The files of one set of teacher outputs: how they are laid out, written and read."""

import hashlib
import json
import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from vtrans.data.examples import TEACHER_PREFIX, Examples
from vtrans.errors import SuiteError
from vtrans.teaching.outputs import STATES, Batch, TeacherOutputs

STATES_FILE = "states"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
PER_TOKEN = ("start_logits", "end_logits")  # of two dimensions, and yet one number per token
Write = Callable[[TeacherOutputs, Sequence[int]], None]


class DamagedOutputs(SuiteError):
    """A folder that is not what it should be."""


class OutOfRange(Exception):
    """A state does not fit its type."""


@dataclass(frozen=True)
class Array:
    """One file of numbers: for each row, or for each token of each row, a block of one shape."""

    shape: tuple[int, ...]
    per_token: bool
    dtype: str

    @property
    def block(self) -> int:
        """Bytes per row or token."""
        return int(np.prod(self.shape, dtype=np.int64)) * DTYPES[self.dtype].itemsize

    def rows(self, outputs: Tensor, lengths: Sequence[int]) -> bytes:
        """What of `(rows, ...)` or `(rows, length, ...)` is kept, padding left out."""
        kept = outputs
        if self.per_token:
            real = torch.arange(outputs.shape[1]) < torch.as_tensor(lengths)[:, None]
            kept = outputs[real.to(outputs.device)]
        exact = kept.to(DTYPES[self.dtype]).cpu().contiguous()
        if bool(kept.isfinite().all()) and not bool(exact.isfinite().all()):
            raise OutOfRange(f"a state of {float(kept.abs().max()):.3g} does not fit {self.dtype}")
        return exact.flatten().view(torch.uint8).numpy().tobytes()


@dataclass(frozen=True)
class Layout:
    """What is kept of a teacher's outputs, and for which rows.

    Attributes:
        rows: indices into the training data, in the order of the files.
        lengths: tokens of each.
        layers: whose states are kept.
        arrays: files by name: states `(layers, width)` per token, and logits.
    """

    rows: tuple[int, ...]
    lengths: tuple[int, ...]
    layers: tuple[int, ...]
    arrays: dict[str, Array]

    @classmethod
    def of(
        cls, rows: Sequence[int], lengths: Sequence[int], layers: tuple[int, ...], sample: TeacherOutputs, dtype: str
    ) -> "Layout":
        """For outputs like those of a sample; states in `dtype`, logits in fp32."""
        arrays = {}
        for name, head in sample.logits.items():
            per_token = name in PER_TOKEN or head.ndim == 3
            arrays[name] = Array(tuple(head.shape[2 if per_token else 1 :]), per_token, "float32")
        if layers:
            width = sample.states[layers[0]].shape[-1]
            arrays[STATES_FILE] = Array((len(layers), width), True, dtype)
        return cls(tuple(rows), tuple(lengths), layers, arrays)

    @classmethod
    def read(cls, found: dict[str, Any]) -> "Layout":
        """From JSON values."""
        arrays = {name: Array(tuple(a["shape"]), a["per_token"], a["dtype"]) for name, a in found["arrays"].items()}
        return cls(tuple(found["rows"]), tuple(found["lengths"]), tuple(found["layers"]), arrays)

    def json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**vars(self), "arrays": {name: vars(array) for name, array in self.arrays.items()}}

    def bytes_of(self, name: str) -> int:
        """Size of a file."""
        array = self.arrays[name]
        return array.block * (sum(self.lengths) if array.per_token else len(self.rows))

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(map(self.bytes_of, self.arrays))


@contextmanager
def writing(folder: Path, layout: Layout, key: dict[str, Any]) -> Iterator[Write]:
    """Yield what appends outputs of rows, in the layout's order, to the files of a new folder; then seal it."""
    digests = {name: hashlib.sha256() for name in layout.arrays}
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {n: stack.enter_context((folder / f"{n}.bin").open("wb")) for n in digests}

        def write(outputs: TeacherOutputs, lengths: Sequence[int]) -> None:
            """Append."""
            tensors = dict(outputs.logits)
            if layout.layers:
                tensors[STATES_FILE] = torch.stack([outputs.states[layer] for layer in layout.layers], 2)
            for name, array in layout.arrays.items():
                content = array.rows(tensors[name], lengths)
                files[name].write(content)
                digests[name].update(content)

        yield write
    sealed = {"key": key, "layout": layout.json(), "sha256": {n: d.hexdigest() for n, d in digests.items()}}
    (folder / "meta.json").write_text(json.dumps(sealed))


class StoredOutputs:
    """Outputs of a teacher for some rows, mapped into memory.

    Args:
        folder: what `writing` has filled.
        layout: of its files.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder, self.layout = folder, layout
        self.place = {row: number for number, row in enumerate(layout.rows)}
        self._starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(layout.lengths)])
        self._maps = {name: _map(folder / f"{name}.bin") for name in layout.arrays}

    @classmethod
    def open(cls, folder: Path, key: dict[str, Any]) -> "StoredOutputs":
        """Open a folder once its contents are what was written, of the teacher and rows of `key`.

        Raises:
            DamagedOutputs: they are not.
            OSError: a file cannot be read.
        """
        try:
            meta = json.loads((folder / "meta.json").read_text())
            layout, digests, found = Layout.read(meta["layout"]), dict(meta["sha256"]), meta["key"]
        except (ValueError, KeyError, TypeError, AttributeError, FileNotFoundError):
            raise DamagedOutputs(f"teacher outputs in {folder} are damaged", "they are made anew") from None
        if found != key:
            raise DamagedOutputs(f"teacher outputs in {folder} are of another teacher or data", "they are made anew")
        for name in layout.arrays:
            path = folder / f"{name}.bin"
            if not path.exists() or path.stat().st_size != layout.bytes_of(name) or _digest(path) != digests.get(name):
                raise DamagedOutputs(f"{path} is damaged", "it is made anew")
        try:
            return cls(folder, layout)
        except FileNotFoundError:
            raise DamagedOutputs(f"teacher outputs in {folder} were removed", "they are made anew") from None

    def of(self, rows: Sequence[int], length: int = 0) -> Batch:
        """What a batch of the given rows carries, padded to the longest or to `length`.

        Returns:
            Logits, each under its name with `teacher_` before it, and states `(layers, rows, length, width)`.
        """
        places = [self.place[row] for row in rows]
        heads = [name for name in self.layout.arrays if name != STATES_FILE]
        found = {f"{TEACHER_PREFIX}{name}": self._padded(name, places, length) for name in heads}
        if self.layout.layers:
            found[STATES] = self._padded(STATES_FILE, places, length).permute(2, 0, 1, 3)
        return found

    def _padded(self, name: str, places: list[int], length: int) -> Tensor:
        array, mapped = self.layout.arrays[name], self._maps[name]
        if not array.per_token:
            parts = [mapped[p * array.block : (p + 1) * array.block] for p in places]
            return _tensor(b"".join(parts), array, len(places))
        lengths = [self.layout.lengths[p] for p in places]
        width, starts = max(length, *lengths), self._starts[places] * array.block
        padded = bytearray(len(places) * width * array.block)
        for number, (start, tokens) in enumerate(zip(starts.tolist(), lengths, strict=True)):
            at = number * width * array.block
            padded[at : at + tokens * array.block] = mapped[start : start + tokens * array.block]
        mapped.madvise(mmap.MADV_DONTNEED)  # pages stay in the system's cache, and off this process's account
        return _tensor(padded, array, len(places), width)


def _tensor(content: bytes | bytearray, array: Array, *lead: int) -> Tensor:
    flat = torch.frombuffer(bytearray(content) if isinstance(content, bytes) else content, dtype=DTYPES[array.dtype])
    return flat.view(*lead, *array.shape)


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class ExamplesWithTeacher:
    """Training rows whose batches carry a teacher's outputs."""

    examples: Examples
    stored: StoredOutputs

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return self.examples.lengths

    @property
    def repeats(self) -> bool:
        """Yes: else their outputs could not be kept."""
        return True

    def count(self, rows: Sequence[int]) -> int:
        """As of the rows."""
        return self.examples.count(rows)

    def batch(self, rows: Sequence[int], length: int = 0) -> Batch:
        """Model inputs and teacher outputs of rows that are stored, padded to the longest or to `length`."""
        return self.examples.batch(rows, length) | self.stored.of(rows, length)
