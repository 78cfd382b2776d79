"""Per-example predictions beside a record: a safetensors file, no pickle, whose digest the record holds."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.common.files import write_atomically
from benchmark.records.schema import Predictions
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    import numpy as np

SUFFIX = ".predictions.safetensors"


def write_predictions(record: Path, arrays: "dict[str, np.ndarray]") -> Predictions:
    """Write arrays, their first axis examples, beside the record at `record`; whole numbers as narrow as they fit."""
    from safetensors.numpy import save

    narrow = {name: _narrow(array) for name, array in arrays.items()}
    path, content = predictions_path(record), save(narrow)
    write_atomically(path, content)
    shapes = {name: (str(array.dtype), len(array)) for name, array in narrow.items()}
    return Predictions(file=path.name, sha256=hashlib.sha256(content).hexdigest(), arrays=shapes)


def predictions_path(record: Path) -> Path:
    """File of a record's predictions."""
    return record.with_name(record.name.removesuffix(".json") + SUFFIX)


def check_predictions(record: Path, expected: Predictions) -> None:
    """Raise `SuiteError` where the predictions of a record are missing, or not those that it was written with."""
    path, again = record.with_name(expected.file), "restore {}, or remove the record and run the cell again"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        raise SuiteError(f"predictions of {record.name} are missing", again.format(path)) from None
    if digest != expected.sha256:
        raise SuiteError(f"predictions of {record.name} were changed", again.format(path))


def read_predictions(record: Path, expected: Predictions) -> "dict[str, np.ndarray]":
    """The arrays of a record, checked.

    Raises:
        SuiteError: as `check_predictions`.
    """
    from safetensors.numpy import load_file

    check_predictions(record, expected)
    found: dict[str, np.ndarray] = load_file(record.with_name(expected.file))
    return found


def _narrow(array: "np.ndarray") -> "np.ndarray":
    import numpy as np

    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32)
    if array.min(initial=0) >= 0:
        return array.astype(np.min_scalar_type(int(array.max(initial=0))))
    return array.astype(np.int64)
