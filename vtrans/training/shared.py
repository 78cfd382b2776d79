"""Ended stages that runs which begin alike take from each other: gates of a model, with adapters or without."""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtrans.training.checkpoint import SUFFIXES, StageFiles

MOST = 200  # stages that are kept; the oldest make room


@dataclass(frozen=True)
class SharedStages:
    """A folder of ended stages, their last checkpoint and log, named by all that they depend on.

    Stages that train weights are not for it: their checkpoints are as large as models.

    Attributes:
        folder: which many runs share.
        start: gives all that a run's first stage depends on besides its own fields, as JSON values.
    """

    folder: Path
    start: Callable[[], dict[str, Any]]

    def name(self, begun: Sequence[Any]) -> str:
        """Name of a stage, from the configs of a run's stages up to it, as JSON values."""
        known = json.dumps([self.start(), list(begun)], sort_keys=True)
        return hashlib.sha256(known.encode()).hexdigest()[:16]

    def fetch(self, name: str, files: StageFiles) -> None:
        """Copy the end of a stage to the files of a run, unless that has a checkpoint of it. Errors copy nothing."""
        with suppress(OSError):
            if files.checkpoint and not files.checkpoint.exists() and (self.folder / f"{name}.ckpt").exists():
                _copy(StageFiles(self.folder, name), files)

    def keep(self, name: str, files: StageFiles) -> None:
        """Copy the end of a stage out of the files of a run. Errors keep nothing."""
        with suppress(OSError):
            _copy(files, StageFiles(self.folder, name))
            for old in sorted(self.folder.iterdir(), key=os.path.getmtime)[: -len(SUFFIXES) * MOST]:
                old.unlink()


def _copy(source: StageFiles, target: StageFiles) -> None:
    """Copy log and checkpoint, each atomically; the checkpoint, which is what others look for, comes last."""
    for one, other in ((source.log, target.log), (source.checkpoint, target.checkpoint)):
        assert one is not None and other is not None
        part = other.with_name(f"{other.name}.{platform.node()}-{os.getpid()}.part")
        try:
            shutil.copyfile(one, part)
            part.replace(other)
        finally:
            part.unlink(missing_ok=True)
