"""Which run the checkpoints of a folder are of."""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtrans.data.ragged import Ragged
from vtrans.errors import SuiteError
from vtrans.methods.base import CompressionState, Method, config_of

if TYPE_CHECKING:
    from vtrans.data.examples import Examples

NAME = "run.json"


def claim(folder: Path, method: Method, state: CompressionState) -> None:
    """Say in a folder which run its checkpoints will be of: the method, the seed, the model and the rows.

    Raises:
        SuiteError: they are of another run.
    """
    facts = {
        "method or setting": config_of(method),
        "seed": state.seed,
        "model": state.teacher.digest,
        "rows": digest_of(state.train),
        "smaller size before it": state.handover.parent.name if state.handover else "",
    }
    facts, path = json.loads(json.dumps(facts)), folder / NAME
    if path.exists():
        found = _read(path)
        other = [name for name in facts if name not in found or found[name] != facts[name]]
        if other:
            raise SuiteError(
                f"{folder} holds a run with another {' and '.join(other)}", "give another folder, or remove this one"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(facts, indent=1) + "\n")
    part.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise SuiteError(f"{path} does not say which run the folder is of", "give another folder, or remove this one")
    return found


def digest_of(rows: "Examples") -> str:
    """sha256 of rows and their labels, or answers."""
    flat = "".join(Ragged.of(each).digest for each in (rows.ids, rows.types, getattr(rows, "spans", ())))
    return hashlib.sha256(flat.encode() + rows.labels.contiguous().numpy().tobytes()).hexdigest()
