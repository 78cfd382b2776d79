"""Compress a model from Python: a transformers model and a data set in, a smaller model out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from vtrans.anatomy import anatomy_of, family_of
from vtrans.data.examples import Examples
from vtrans.data.labels import class_ids
from vtrans.data.windows import Windows
from vtrans.errors import SuiteError
from vtrans.methods.base import CompressionState, Method, check_packages
from vtrans.methods.family import HANDOVER, SIZES, VTransFamily
from vtrans.methods.vtrans import VTrans
from vtrans.run_folder import claim
from vtrans.settings import QUICK, Budget, Denominator, Quantity, Schedules, Setting
from vtrans.signals import cancelling
from vtrans.teaching.cache import TeacherCache
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

if TYPE_CHECKING:
    from torch import nn

    from vtrans.training.loop import Report

LABELS = ("labels", "label")
OUTPUTS = ".teacher-outputs"  # folder, while a run goes on


def compress(
    model: "nn.Module",
    dataset: Examples | Iterable[Mapping[str, Any]],
    method: type[Method] | Method = VTrans,
    sparsity: float = 0.6,
    *,
    schedules: Schedules = QUICK,
    quantity: Quantity = "parameters",
    denominator: Denominator = "encoder",
    seed: int = 0,
    folder: str | Path | None = None,
    report: "Report | None" = None,
) -> "nn.Module":
    """Make a fine-tuned model smaller, with the schedules of the preset `quick`.

    Args:
        model: of a family with an anatomy, fine-tuned; it is the teacher, and is afterwards as it was before.
        dataset: rows to train on, of a `datasets` data set for one: `input_ids`, not padded, and `label` or `labels`
            (ids or names of the model's classes, or scores); of a causal language model `input_ids` alone.
        method: a method of `vtrans` or `baselines`, or one with hyper-parameters of your own.
        sparsity: share to remove, in (0, 1), of the encoder's parameters by default; of no effect on methods without a
            size, and on one that is built already.
        schedules: of the method's stages, in optimiser steps; a few hundred by default.
        quantity, denominator: what the sparsity counts, as in `Budget`.
        seed: of everything random.
        folder: for checkpoints, logs and, while it runs, the teacher's outputs, which are then computed once for all
            stages: called again with the same arguments, it goes on from there.
        report: called after each step with stage, step, total and losses.

    Returns:
        The smaller model, materialised, in evaluation mode; `vtrans.save_pruned` writes it.

    Raises:
        SuiteError: the family has no anatomy, columns are missing, the size is out of reach; or another run's folder.
        RunFailed: a loss is not finite.
        RunCancelled: Ctrl-C or SIGTERM; where there is a folder, checkpoints of what was trained lie in it.
    """
    anatomy, config = anatomy_of(model), cast("Any", model.config)
    check_trainable(model)
    if method.text_method or method.name == "dense":
        raise SuiteError(f"method {method.name} compresses nothing by itself", "choose VTrans for example")
    if method.family:
        raise SuiteError(f"method {method.name} makes several sizes", "call compress_family")
    if not isinstance(method, Method):
        budget = Budget(sparsity, quantity, denominator, min(128, getattr(config, "max_position_embeddings", 128)))
        method = method.build(Setting(schedules, budget, scale="quick", layers=len(anatomy.blocks)))
    check_packages(method)
    cache = TeacherCache(Path(folder) / OUTPUTS) if folder else None
    context = RunContext(Path(folder) if folder else None, report, teacher_cache=cache)
    state = CompressionState(Teacher(model), examples_of(dataset, model), seed, context)
    if folder:
        claim(Path(folder), method, state)
    with cancelling(), unchanged(model):
        small = method.compress(state)
    if cache:
        cache.clear()
    return small


def compress_family(
    model: "nn.Module",
    dataset: Examples | Iterable[Mapping[str, Any]],
    folder: str | Path,
    method: type[Method] = VTransFamily,
    sizes: Sequence[float] = SIZES,
    *,
    schedules: Schedules = QUICK,
    quantity: Quantity = "parameters",
    denominator: Denominator = "encoder",
    seed: int = 0,
    report: "Report | None" = None,
) -> "Iterator[tuple[float, nn.Module]]":
    """Make a fine-tuned model smaller in several sizes by one pruning run, each recovered by itself.

    A generator: nothing runs, and no error is raised, before the first size is asked for.

    Args:
        model, dataset, quantity, denominator, seed, report: as of `compress`.
        folder: for checkpoints, logs and what each size hands over to the next; called again, it goes on from there.
        method: `VTransFamily`, or `CoFiFamily` of `baselines`.
        sizes: shares to remove, in (0, 1), ascending.
        schedules: of one size by itself, of which each takes half.

    Yields:
        Share that was removed and the smaller model, as of `compress`; the smallest share first.

    Raises:
        SuiteError: as of `compress`; or the sizes do not ascend.
    """
    if not method.family or list(sizes) != sorted(set(sizes)) or not sizes:
        raise SuiteError(
            f"{method.name} makes no family of the sizes {list(sizes)}", "give VTransFamily and ascending sizes"
        )
    check_trainable(model)
    anatomy, rows = anatomy_of(model), examples_of(dataset, model)
    cache, before = TeacherCache(Path(folder) / OUTPUTS), None
    for size in sizes:
        budget = Budget(size, quantity, denominator, min(128, getattr(model.config, "max_position_embeddings", 128)))
        context = RunContext(Path(folder) / f"s{size * 100:g}", report, teacher_cache=cache)
        state = CompressionState(Teacher(model), rows, seed, context, handover=before)
        member = method.build(Setting(schedules, budget, scale="quick", layers=len(anatomy.blocks)))
        claim(Path(folder) / f"s{size * 100:g}", member, state)
        with cancelling(), unchanged(model):
            small = member.compress(state)
        yield size, small  # outside: Ctrl-C is the caller's again
        before = Path(folder) / f"s{size * 100:g}" / HANDOVER
    cache.clear()


def check_trainable(model: "nn.Module") -> None:
    """Raise `SuiteError` where batches, or steps, of a model cannot be."""
    config = cast("Any", model.config)
    if anatomy_of(model).causal and hasattr(model, "score") and config.pad_token_id is None:
        raise SuiteError("the model has no pad token, which batches of a classifier need", "set config.pad_token_id")
    if any(parameter.dtype == torch.float16 for parameter in model.parameters()):
        raise SuiteError("the model is in float16, in which it cannot train", "load it with dtype=torch.float32")


@contextmanager
def unchanged(model: "nn.Module") -> Iterator[None]:
    """Give a model back in the mode, and with the frozen and trained parameters, that it came with."""
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, trains in flags:
            parameter.requires_grad_(trains)


def examples_of(dataset: Examples | Iterable[Mapping[str, Any]], model: "nn.Module") -> Examples:
    """The rows of a data set, as stages train on them.

    Raises:
        SuiteError: there is no row, or a column is missing.
    """
    if isinstance(dataset, Examples):
        return dataset
    rows, config = [dict(row) for row in dataset], getattr(model, "config", None)
    pad = getattr(config, "pad_token_id", None) or 0
    ids = [list(map(int, value)) for value in _column(rows, ("input_ids",))]
    if anatomy_of(model).causal and not hasattr(model, "score"):
        return Windows(ids, (), torch.zeros(len(ids), dtype=torch.long), pad, [0] * len(ids))
    typed = family_of(config).token_types and "token_type_ids" in rows[0]
    types = [list(map(int, row["token_type_ids"])) for row in rows] if typed else ()
    return Examples(ids, types, torch.tensor(_class_ids(_column(rows, LABELS), config)), pad)


def _class_ids(labels: list[Any], config: Any) -> list[Any]:
    """Labels as ids of the model's classes; as floats where the model gives a score.

    Raises:
        SuiteError: a label is no class of the model, or no number where the model gives a score.
    """
    known = getattr(config, "id2label", None) or {}
    names = [str(known[i]) for i in sorted(known)]
    scores = any(isinstance(label, float) and not label.is_integer() for label in labels)
    if len(names) < 2 or scores or getattr(config, "problem_type", None) == "regression":
        try:
            return torch.as_tensor(labels, dtype=torch.float32).tolist()
        except (TypeError, ValueError):
            raise SuiteError(f"labels are no scores, {labels[0]!r} for one", "give numbers") from None
    return class_ids(labels, names)


def _column(rows: list[dict[str, Any]], names: tuple[str, ...]) -> list[Any]:
    """The column of the first of some names that all rows have."""
    if not rows:
        raise SuiteError("the data set has no rows", "give at least one")
    name = next((name for name in names if all(row.get(name) is not None for row in rows)), None)
    if name is None:
        remedy = (
            "tokenise it with dataset.map(lambda row: tokenizer(row['text']))" if "input_ids" in names else "add it"
        )
        raise SuiteError(f"the data set has no column {names[0]!r}", remedy)
    return [row[name] for row in rows]
