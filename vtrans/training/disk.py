"""Weights of stage 3 that wait in files on a disk."""

import os
import shutil
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import torch
from torch import nn

from vtrans import ranks
from vtrans.errors import SuiteError
from vtrans.locks import locked

OWN = f"vtrans-weights-{os.getuid()}"  # one folder for each user of a disk


def check_disk(folder: Path) -> None:
    """Raise `SuiteError` where weights cannot wait in a folder: not writable, or nothing there to read it by."""
    from deepspeed.ops.op_builder import AsyncIOBuilder

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SuiteError(
            f"cannot write {folder}: {error.strerror}", "give --offload a folder on a fast disk, or cpu"
        ) from None
    if not AsyncIOBuilder().is_compatible(verbose=False):
        raise SuiteError(
            "DeepSpeed cannot keep weights on a disk without libaio",
            "install libaio-dev (libaio-devel) and a C++ compiler, or give --offload cpu",
        )


def sweep(folder: Path) -> None:
    """Remove the files of processes that were killed."""
    for left in folder.glob("*/"):
        with suppress(FileNotFoundError), locked(left, wait=False) as mine:  # its own process has just removed it
            if mine:
                shutil.rmtree(left, ignore_errors=True)


class Disk:
    """A rank's files under a folder, each model's in a folder of its own.

    DeepSpeed names the files by rank and type alone, and empties the folder for each model that it takes: the
    student's weights would go when the teacher comes, and those of another run under the same folder, too.

    Raises:
        SuiteError: as of `check_disk`, on all ranks where it is raised on one.
        NoLocks: the folder's file system has none.
    """

    def __init__(self, folder: Path) -> None:
        ranks.raise_together(lambda: check_disk(folder))
        with locked(own := folder / OWN):  # a new folder is not locked yet, and would be taken for a dead process's
            sweep(own)
            self._folder = TemporaryDirectory(dir=own, ignore_cleanup_errors=True)  # another process may look into it
            self._held = ExitStack()  # the lock, while this process lives
            self._held.enter_context(locked(Path(self._folder.name)))
        self._models = count()

    def place(self, largest: int) -> dict[str, Any]:
        """DeepSpeed's `offload_param` for the next model.

        Args:
            largest: weights of its largest tensor. Each of the buffers that files are read into has the size of a
                rank's part of it; by default they are a hundred million weights each, however small the model.
        """
        folder = Path(self._folder.name) / str(next(self._models))
        return {
            "device": "nvme",
            "nvme_path": str(folder),
            "buffer_size": -(-largest // ranks.world_size()),
            "pin_memory": torch.cuda.is_available(),
        }

    def release(self, models: Iterable[nn.Module]) -> None:
        """Free the buffers and files of models that are done with: DeepSpeed keeps them to the end of the process."""
        held = (getattr(weight, "nvme_swapper", None) for model in models for weight in model.parameters())
        for swapper in {id(each): each for each in held if each is not None}.values():
            swapper.aio_read_handle.free_cpu_locked_tensor(swapper.buffers)
            swapper.buffers = None
            shutil.rmtree(swapper.swap_folder, ignore_errors=True)
