"""What a distilled student is trained on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtrans.anatomy import anatomy_of
from vtrans.data.examples import inputs_of, unlabelled
from vtrans.objectives.base import TaskObjective, training
from vtrans.objectives.distillation import distributions, masked_mse, prediction_loss
from vtrans.teaching.outputs import TeacherOutputs, TeacherSource, named_logits

if TYPE_CHECKING:
    from baselines.parts.student_losses import StudentLosses

Batch = dict[str, Tensor]


class StudentObjective(TaskObjective):
    """Loss terms of a student under its teacher.

    Args:
        model: the student; layers that were cut out are the identity in it.
        teach: gives the outputs of the dense model.
        attending: that model, where the losses need its attention too: it then runs in every step.
        coefficients: weights of the losses.
        layers: indices of the layers that the student has, in the teacher and in itself.
        transform: `(teacher width, student width)` start of the layer transformation.
    """

    def __init__(
        self,
        model: nn.Module,
        teach: TeacherSource,
        coefficients: "StudentLosses",
        layers: Sequence[int],
        transform: Tensor | None,
        attending: Any = None,
    ) -> None:
        wide, narrow = teach.width, anatomy_of(model).hidden
        self.transform = nn.Linear(narrow, wide).to(next(model.parameters()).device)
        if transform is None and narrow == wide:
            transform = torch.eye(wide)
        if transform is not None:
            with torch.no_grad():
                self.transform.weight.copy_(transform)
                self.transform.bias.zero_()
        self.modules = {"model": model, "transform": self.transform}
        self.teach, self.coefficients, self.layers, self.attending_teacher = teach, coefficients, layers, attending

    @contextmanager
    def attending(self) -> Iterator[None]:
        """Let both models give their attention weights, where the losses need them."""
        models: list[Any] = [self.modules["model"], self.attending_teacher] if self.coefficients.attention else []
        before = [model.config._attn_implementation for model in models]
        for model in models:
            model.set_attn_implementation("eager")
        try:
            yield
        finally:
            for model, implementation in zip(models, before, strict=True):
                model.set_attn_implementation(implementation)

    def losses(self, batch: Batch, step: int, total: int) -> dict[str, Tensor]:
        """The weighted terms, those of weight 0 left out."""
        inner = {"output_hidden_states": True, "output_attentions": bool(self.coefficients.attention)}
        inputs = inputs_of(batch) if self.coefficients.task else unlabelled(batch)
        ours = training(self.modules["model"])(**inputs, **inner)
        if not self.coefficients.attention:
            return self._weighted(ours, self.teach(batch), batch["attention_mask"])
        with torch.no_grad():
            theirs = TeacherOutputs.of(self.attending_teacher.eval()(**unlabelled(batch), **inner))
        return self._weighted(ours, theirs, batch["attention_mask"])

    def _weighted(self, ours: Any, theirs: TeacherOutputs, mask: Tensor) -> dict[str, Tensor]:
        w = self.coefficients
        terms = {}
        if w.prediction:
            pair = (distributions(named_logits(ours), mask), distributions(theirs.logits, mask))
            terms["prediction"] = w.prediction * prediction_loss(*pair, w.temperature)
        if w.task:
            terms["task"] = w.task * ours.loss.float()
        if w.cosine:
            terms["cosine"] = w.cosine * self._cosine(ours.hidden_states[-1], theirs.states[self.teach.depth], mask)
        if w.hidden:
            terms["hidden"] = w.hidden * self._hidden(ours.hidden_states, theirs.states, mask)
        if w.attention:
            terms["attention"] = w.attention * self._attention(ours.attentions, theirs.attentions, mask)
        return terms

    def _cosine(self, ours: Tensor, theirs: Tensor, mask: Tensor) -> Tensor:
        mapped = ours if ours.shape[-1] == theirs.shape[-1] else self.transform(ours)  # DistilBERT projects nothing
        distance = 1 - F.cosine_similarity(mapped.float(), theirs.float(), dim=-1)
        return (distance * mask).sum() / mask.sum()

    def _hidden(self, ours: Sequence[Tensor], theirs: Mapping[int, Tensor], mask: Tensor) -> Tensor:
        points = [0, *(layer + 1 for layer in self.layers)]
        return torch.stack([masked_mse(self.transform(ours[i]), theirs[i], mask) for i in points]).sum()

    def _attention(self, ours: Sequence[Tensor], theirs: Sequence[Tensor], mask: Tensor) -> Tensor:
        """Mean over real queries and all keys; padding gets no attention from either."""
        own = [weights for weights in ours if weights is not None]
        pairs = zip(own, (theirs[i] for i in self.layers), strict=True)
        errors = [F.mse_loss(a.float(), b.float(), reduction="none").mean((1, 3)) for a, b in pairs]
        return torch.stack([(error * mask).sum() / mask.sum() for error in errors]).sum()
