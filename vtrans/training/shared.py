"""Stages that several runs begin with, trained once: `Faster-VTrans-LLM` and the same with adapters, for example."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtrans.training.checkpoint import SUFFIXES, StageFiles

LIMIT = 64 << 20  # bytes of a checkpoint: gates and scales stay below it, weights of any size worth a wait do not


@dataclass(frozen=True)
class SharedStages:
    """A folder of ended stages: their last checkpoint and log, named by all that they depend on.

    A run that finds the stages which it begins with resumes from their end, as it would from its own checkpoint.

    Attributes:
        folder: which many runs share.
        start: all that a run's first stage depends on besides its own fields, as JSON values.
    """

    folder: Path
    start: dict[str, Any]

    def fetch(self, begun: Sequence[Any], run: Path, label: str) -> bool:
        """Copy the end of a stage into a run's folder, unless that has a checkpoint of it.

        Args:
            begun: configs of the run's stages up to this one, as JSON values.
            run: its folder.
            label: name of the stage there.

        Returns:
            Whether the run has it now. One that is damaged is removed.
        """
        kept, own = self._files(begun), [run / f"{label}{suffix}" for suffix in SUFFIXES]
        if own[0].exists() or not kept[0].exists():
            return False
        run.mkdir(parents=True, exist_ok=True)
        if not all(_copied(source, target) for source, target in zip(kept[::-1], own[::-1], strict=True)):
            return False
        if StageFiles(run, label).read() is None:
            kept[0].unlink(missing_ok=True)
            return False
        return True

    def keep(self, begun: Sequence[Any], run: Path, label: str) -> None:
        """Copy the end of a stage out of a run's folder, where its checkpoint is small enough."""
        kept, own = self._files(begun), [run / f"{label}{suffix}" for suffix in SUFFIXES]
        if kept[0].exists() or not own[0].exists() or own[0].stat().st_size > LIMIT:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        all(_copied(source, target) for source, target in zip(own[::-1], kept[::-1], strict=True))  # checkpoint last

    def _files(self, begun: Sequence[Any]) -> list[Path]:
        known = json.dumps([self.start, list(begun)], sort_keys=True)
        name = hashlib.sha256(known.encode()).hexdigest()[:16]
        return [self.folder / f"{name}{suffix}" for suffix in SUFFIXES]


def _copied(source: Path, target: Path) -> bool:
    """Copy a file atomically; False where that fails: the stage is then trained, or not kept, and nothing is lost."""
    part = target.with_name(f"{target.name}.part")
    try:
        shutil.copyfile(source, part)
        part.replace(target)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        return False
    return True
