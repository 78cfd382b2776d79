"""Distillation of a stage: its loss terms, and rows that carry the teacher's outputs where these are kept on disk."""

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch

from vtrans import ranks
from vtrans.data.examples import Batches, Rows
from vtrans.heap import trim
from vtrans.methods.base import CompressionState, Stage
from vtrans.objectives.distillation import Distiller
from vtrans.settings import Distillation, Schedule
from vtrans.teaching.cache import CacheRequest, CacheUnavailable
from vtrans.teaching.outputs import Batch, RunningTeacher, StoredTeacher, TeacherOutputs, TeacherSource, wanted_layers
from vtrans.teaching.stored import ExamplesWithTeacher
from vtrans.training.precision import autocast, resolve

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DistillationSetup:
    """What a stage is trained with.

    Attributes:
        distiller: of the stage, on the device.
        rows: the state's training rows, with the teacher's outputs where it does not run.
    """

    distiller: Distiller
    rows: Rows


def prepare(state: CompressionState, stage: Stage, settings: Distillation, schedule: Schedule) -> DistillationSetup:
    """The setup of a stage; its distiller goes on from the weight of the state's layer transformation, its bias at 0.

    Without a transformation so far, one is started that matches the surviving hidden units.
    """
    transform, device = state.transform, state.run_context.engine.device(state.model)
    if transform is None and state.decision is not None:
        kept = (state.decision.hidden.detach() != 0).nonzero().flatten()
        transform = torch.eye(len(state.decision.hidden), device=kept.device)[:, kept]
    layers = wanted_layers(settings, state.teacher.shape[1])
    teach, rows = teacher_source(state, stage, layers, schedule) if settings.needs_teacher else (None, state.train)
    return DistillationSetup(Distiller(teach, state.teacher.shape, state.model, settings, transform).to(device), rows)


def teacher_source(
    state: CompressionState, stage: Stage, layers: tuple[int, ...], schedule: Schedule, keep: bool = True
) -> tuple[TeacherSource, Rows]:
    """Whoever gives the teacher's outputs in a stage: itself, or a cache, which then comes with rows of its own.

    Outputs are kept where the run has a cache, one process trains, and a row is the same each time it is drawn.

    Args:
        state: of the run.
        stage: that trains.
        layers: of the teacher, counted from 1, whose states are wanted.
        schedule: of the stage; says which rows are drawn.
        keep: False where the stage needs what no cache keeps.
    """
    running, cache = _Running(state, layers, schedule), state.run_context.teacher_cache
    if not keep or cache is None or ranks.world_size() > 1 or not state.train.repeats:
        return running.teacher, state.train
    rows = Batches(state.train.lengths, schedule.batch, state.stage_seed).rows(schedule.total(len(state.train)))
    wanted = CacheRequest(state.teacher.digest, state.train, rows, layers, running.precision)
    note = state.report.setdefault("teacher", {})
    try:
        stored = cache.obtain(wanted, running, _progress(state, stage))
    except CacheUnavailable as refusal:
        log.warning("the teacher runs in every step of %s: %s", state.label(stage), refusal)
        note[state.label(stage)] = f"run: {refusal}"
        return running.teacher, state.train
    note[state.label(stage)] = {"rows": len(rows), "bytes": stored.layout.bytes}
    state.teacher.release()
    del running
    trim()
    return StoredTeacher(layers, *state.teacher.shape), ExamplesWithTeacher(state.train, stored)


class _Running:
    """The teacher in a stage's precision, made when it is first asked for."""

    def __init__(self, state: CompressionState, layers: tuple[int, ...], schedule: Schedule) -> None:
        self.device = state.run_context.engine.device(state.model)
        self.precision = resolve(schedule.precision, self.device)
        self._state, self._layers = state, layers

    @cached_property
    def teacher(self) -> RunningTeacher:
        """It, in bf16 where the stage trains in that."""
        model, engine = self._state.teacher.model, self._state.run_context.engine
        if engine.frozen_backbone:
            return RunningTeacher(engine.hold(model), self._layers)
        return RunningTeacher(copy.deepcopy(model).bfloat16() if self.precision == "bf16" else model, self._layers)

    def __call__(self, batch: Batch) -> TeacherOutputs:
        """Its outputs for a batch, computed as they would be in a training step."""
        with autocast(self.precision, self.device):
            return self.teacher({name: tensor.to(self.device) for name, tensor in batch.items()})


def _progress(state: CompressionState, stage: Stage) -> Callable[[int, int], None] | None:
    report = state.run_context.report
    return partial(_tell, report, f"{state.label(stage)} teacher") if report else None


def _tell(report: Callable[[str, int, int, dict[str, float]], None], name: str, done: int, total: int) -> None:
    report(name, done, total, {})
