"""Models that no folder holds yet: pre-trained or dequantised by the suite, once, into a cache."""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.common.digests import key_of
from benchmark.models.registry import ModelSpec, locate
from vtrans.locks import locked
from vtrans.methods.base import config_of

if TYPE_CHECKING:
    from vtrans.training.loop import Report

DONE = "made.json"  # written last, with what is to be said of the making


def prepare(spec: ModelSpec, cache: Path, report: "Report | None" = None) -> Path:
    """Folder of a model: where its package or the hub has it, or made in `cache` where it is not there yet.

    An interrupted making goes on from its last checkpoint.

    Raises:
        SuiteError: the package, the corpus or the hub is out of reach.
        RunFailed, RunCancelled: as `vtrans.training.loop.fit`.
    """
    if not spec.prepared:
        return locate(spec)
    folder = cache / f"{spec.name}--{key_of(config_of(spec.recipe)) if spec.recipe else spec.sha256[:16]}"
    with locked(folder):
        if not (folder / DONE).exists():
            _make(spec, folder, report)
    return folder


def _make(spec: ModelSpec, folder: Path, report: "Report | None") -> None:
    if spec.recipe:
        from benchmark.models.pretrain import pretrain

        pretrain(spec.recipe, folder, report)
    else:
        from benchmark.models.dequantize import dequantize

        dequantize(spec, folder)
