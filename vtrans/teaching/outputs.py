"""What a student learns from: logits of its teacher, and hidden states of some of its layers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vtrans.data.examples import TEACHER_PREFIX, unlabelled
from vtrans.settings import Distillation

Batch = dict[str, Tensor]
LOGIT_NAMES = ("logits", "start_logits", "end_logits")
STATES = f"{TEACHER_PREFIX}states"  # in a batch: `(layers, rows, length, hidden)`


@dataclass(frozen=True)
class TeacherOutputs:
    """Outputs of a teacher for a batch.

    Attributes:
        logits: by their name in transformers' outputs: `logits` `(batch, classes)` or `(batch, length, vocabulary)`,
            or `start_logits` and `end_logits` `(batch, length)`.
        states: hidden states `(batch, length, hidden)` by layer, counted from 1; 0 is what the first one reads.
        attentions: attention weights `(batch, heads, length, length)` of each layer, where they were asked for.
    """

    logits: Mapping[str, Tensor]
    states: Mapping[int, Tensor]
    attentions: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, outputs: Any, layers: Iterable[int] | None = None) -> "TeacherOutputs":
        """From those of a model of transformers: states of the given layers, or all that there are."""
        states = getattr(outputs, "hidden_states", None) or ()
        wanted = range(len(states)) if layers is None else layers
        attentions = getattr(outputs, "attentions", None) or ()
        return cls(named_logits(outputs), {layer: states[layer] for layer in wanted}, attentions)


class TeacherSource(Protocol):
    """A teacher that is run, or its outputs from a cache."""

    @property
    def layers(self) -> tuple[int, ...]:
        """Whose states it has, counted from 1."""
        ...

    @property
    def width(self) -> int:
        """Hidden width of the teacher."""
        ...

    @property
    def depth(self) -> int:
        """Its number of layers."""
        ...

    def __call__(self, batch: Batch) -> TeacherOutputs:
        """The outputs."""
        ...


class RunningTeacher:
    """A teacher that is run on each batch.

    Args:
        model: dense model; frozen here.
        layers: whose states are wanted.
    """

    def __init__(self, model: nn.Module, layers: tuple[int, ...]) -> None:
        from vtrans.anatomy import anatomy_of

        model.eval()
        model.requires_grad_(False)
        self.model, self.layers = model, layers
        anatomy = anatomy_of(getattr(model, "module", model))  # which an engine is around
        self.width, self.depth = anatomy.hidden, len(anatomy.blocks)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> TeacherOutputs:
        """Run it."""
        found = self.model(**unlabelled(batch), output_hidden_states=bool(self.layers))
        return TeacherOutputs.of(found, self.layers)


@dataclass(frozen=True)
class StoredTeacher:
    """A teacher whose outputs come along in the batch, from a cache; attributes as of `TeacherSource`."""

    layers: tuple[int, ...]
    width: int
    depth: int

    def __call__(self, batch: Batch) -> TeacherOutputs:
        """Take them out of the batch."""
        heads = {name: batch[f"{TEACHER_PREFIX}{name}"] for name in LOGIT_NAMES if f"{TEACHER_PREFIX}{name}" in batch}
        states = batch[STATES] if self.layers else ()
        return TeacherOutputs(heads, dict(zip(self.layers, states, strict=True)))


def named_logits(outputs: Any) -> dict[str, Tensor]:
    """The logits in a model's outputs, by their name."""
    return {name: getattr(outputs, name) for name in LOGIT_NAMES if getattr(outputs, name, None) is not None}


def wanted_layers(settings: Distillation, depth: int) -> tuple[int, ...]:
    """Teacher layers, counted from 1, whose states a distillation may ask for."""
    if not settings.layer:
        return ()
    return tuple(range(1, depth + 1)) if settings.match == "random" else settings.layers or default_layers(depth)


def default_layers(depth: int) -> tuple[int, ...]:
    """Teacher layers, counted from 1, at the end of four (or three, or one) equal parts of the depth."""
    parts = next(n for n in (4, 3, 1) if depth % n == 0)
    return tuple(depth // parts * (i + 1) for i in range(parts))
