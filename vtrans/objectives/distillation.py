"""Distillation from the dense teacher: of its logits, and of its hidden states layer by layer."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtrans.anatomy import anatomy_of
from vtrans.data.examples import unlabelled
from vtrans.data.windows import IGNORED
from vtrans.objectives.task import has_token_labels, outputs_and_loss
from vtrans.objectives.vocabulary import divergence
from vtrans.pruning.masks import Masks
from vtrans.settings import Distillation
from vtrans.teaching.outputs import TeacherSource, default_layers, named_logits

Batch = dict[str, Tensor]
NEVER = -1e4  # logit of padding; finite, because KL knows no 0 * inf


class Distiller(nn.Module):
    """Loss terms of a student under its teacher; holds the layer transformation, which trains along.

    Args:
        teach: gives the teacher's outputs; None where no term needs them.
        shape: hidden width and layers of the teacher.
        student: model with the same inputs and labels; its hidden width may be smaller.
        settings: weights, temperature and matching rule.
        transform: `(teacher width, student width)` start of the layer transformation; identity by default.
    """

    def __init__(
        self,
        teach: TeacherSource | None,
        shape: tuple[int, int],
        student: nn.Module,
        settings: Distillation,
        transform: Tensor | None = None,
    ) -> None:
        super().__init__()
        anatomy = anatomy_of(student)
        self.settings, self.teach, self.next_token = settings, teach, anatomy.predicts_next_token
        self.pre_norm, self.alive = anatomy.pre_norm, [bool(block.heads or block.ffn) for block in anatomy.blocks]
        self.layers = settings.layers or default_layers(shape[1])
        start = torch.eye(shape[0], anatomy.hidden) if transform is None else transform
        self.transform = nn.Linear(start.shape[1], start.shape[0])
        with torch.no_grad():
            self.transform.weight.copy_(start)
            self.transform.bias.zero_()

    def losses(
        self, model: nn.Module, batch: Batch, masks: Masks | None = None, decide: Callable[[], Masks] | None = None
    ) -> dict[str, Tensor]:
        """Weighted terms `prediction`, `layer` and `task`, those with weight 0 left out. 0-d each.

        Args:
            model: the student.
            batch: of training rows.
            masks: those that the student runs under.
            decide: gives what would be kept now, where a student is being pruned.
        """
        s, options = self.settings, {"output_hidden_states": bool(self.settings.layer)}
        if s.task:
            ours, task = outputs_and_loss(model, batch, self.next_token, **options)
        else:
            ours = model(**unlabelled(batch), **options)
        terms: dict[str, Tensor] = {}
        if self.teach:
            theirs = self.teach(batch)
        if self.teach and s.prediction:
            terms["prediction"] = s.prediction * self.prediction(named_logits(ours), theirs.logits, batch)
        if s.layer:
            states = self.surviving(ours.hidden_states[1:], masks)
            terms["layer"] = s.layer * self.layer_loss(states, theirs.states, batch["attention_mask"], decide)
        if s.task:
            terms["task"] = s.task * task
        return terms

    def prediction(self, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Distance of the student's distributions from the teacher's, over what the batch asks about, 0-d."""
        asked, temperature = asked_tokens(batch), self.settings.temperature
        if self.next_token and has_token_labels(batch):  # nearly all tokens: cheaper than to pick them out
            return divergence(ours["logits"], theirs["logits"], temperature, asked)
        return prediction_loss(distributions(ours, asked), distributions(theirs, asked), temperature)

    def teacher_layers(self) -> tuple[int, ...]:
        """Teacher layers of this step, counted from 1: fixed, or under `random` one of each part."""
        if self.settings.match != "random":
            return self.layers
        edges = (0, *self.layers)
        return tuple(int(torch.randint(low + 1, high + 1, ())) for low, high in pairwise(edges))

    def layer_loss(
        self,
        states: list[Tensor],
        theirs: Mapping[int, Tensor],
        mask: Tensor,
        decide: Callable[[], Masks] | None = None,
    ) -> Tensor:
        """Sum over teacher layers of the error of the student layer matched to each, padding left out."""
        targets = [theirs[i] for i in self.teacher_layers()]
        if self.settings.match == "same":
            mapped = self.transform(torch.stack([states[i - 1] for i in self.layers]))
            return masked_mse(mapped, torch.stack(targets), mask) * len(targets)
        ordered = self.settings.match == "ordered"
        with torch.no_grad():  # only the pairs that are chosen are worth a gradient
            errors = masked_errors(self.transform(torch.stack(states)), torch.stack(targets), mask)
            alive = alive_layers(decide()) if ordered and decide else self.alive
        chosen = match_layers(errors, "ordered" if ordered else "argmin", alive)
        mapped = self.transform(torch.stack([states[layer] for layer in chosen]))
        return masked_mse(mapped, torch.stack(targets), mask) * len(targets)

    def surviving(self, states: Sequence[Tensor], masks: Masks | None) -> list[Tensor]:
        """States of layers, `(batch, length, hidden)` each, with 0 for hidden units that are pruned.

        Norms do that, but for the states between the layers of a model whose norms stand before sub-layers.
        """
        if not self.pre_norm or masks is None or masks.survivors is None:
            return list(states)
        return [state * masks.survivors for state in states]


def asked_tokens(batch: Batch) -> Tensor:
    """Tokens that a model is asked about, `(batch, length)`: those with a label of their own, else all real ones."""
    return batch["labels"] != IGNORED if has_token_labels(batch) else batch["attention_mask"]


def distributions(heads: Mapping[str, Tensor], mask: Tensor) -> Tensor:
    """Logits, by their names, as all the distributions that they are, `(distributions, classes)`.

    One a sequence for a classifier, one for each token of `mask` `(batch, length)` for a language model, and
    for extractive answers two a sequence, over the tokens where the answer starts and ends.
    """
    if "start_logits" in heads:
        spans = torch.cat([heads["start_logits"], heads["end_logits"]])
        return spans.masked_fill(torch.cat([mask, mask]) == 0, NEVER)
    logits = heads["logits"]
    return logits[mask.bool()] if logits.ndim == 3 else logits


def prediction_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student), mean over the distributions; mean squared error where there is one logit."""
    if student.shape[-1] == 1:
        return F.mse_loss(student.float(), teacher.float())
    return divergence(student, teacher, temperature)


def masked_mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over real tokens and hidden units, and over layers where there are several.

    Args:
        student, teacher: `(..., batch, length, hidden)`.
        mask: `(batch, length)`, 0 on padding.
    """
    error = F.mse_loss(student.float(), teacher.float(), reduction="none").mean(-1)
    return (error * mask).sum() / (mask.sum() * error.shape[:-2].numel())


def masked_errors(students: Tensor, teachers: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of every pair of layers, as of `masked_mse`, `(teacher layers, student layers)`.

    By |a|^2 + |b|^2 - 2ab, so that all pairs are one matrix product.

    Args:
        students, teachers: `(layers, batch, length, hidden)`.
        mask: `(batch, length)`, 0 on padding.
    """
    real = mask.bool()
    a, b = (layers.float()[:, real].flatten(1) for layers in (students, teachers))
    squares = b.square().sum(1)[:, None] + a.square().sum(1) - 2 * b @ a.T
    return squares / a.shape[1]


def alive_layers(masks: Masks) -> list[bool]:
    """Whether each student layer has a sub-layer left."""
    return [a or f for a, f in zip(masks.attention_alive, masks.ffn_alive, strict=True)]


def match_layers(errors: Tensor, rule: str, alive: list[bool]) -> list[int]:
    """Student layer (from 0) for each teacher layer.

    Args:
        errors: `(teacher layers, student layers)`.
        rule: `argmin`, the closest of all; or `ordered`, the closest below the one matched to the next teacher layer.
        alive: student layers that `ordered` may choose.
    """
    rows, depth = errors.shape
    if rule == "argmin":
        return errors.argmin(1).tolist()
    chosen: list[int] = []
    limit = depth
    for row in reversed(range(rows)):
        candidates = [i for i in range(limit) if alive[i]]
        # With no layer left below, the one above is used again, the topmost to start with.
        limit = min(candidates, key=lambda i: float(errors[row, i])) if candidates else min(limit, depth - 1)
        chosen.insert(0, limit)
    return chosen
