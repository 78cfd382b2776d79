"""Distilled students: DistilBERT-style, and TinyBERT-style without general distillation, cut from the suite's teacher.

A student starts from layers of its teacher, the last of each equal part, so that its layer m stands where the
teacher's layer m N / M does (TinyBERT, section 3). It goes on without any pre-training of its own.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from baselines.parts.student_losses import StudentLosses
from vtrans.forecast import TRAINED, Forecast
from vtrans.methods.base import CompressionState, Stage
from vtrans.settings import Distillation, Schedule

if TYPE_CHECKING:
    from torch import Tensor

    from vtrans.anatomy import Anatomy
    from vtrans.pruning.masks import Masks


@dataclass(frozen=True)
class KeepLayers(Stage):
    """Keep one layer of every `every`, and the given shares of hidden and FFN units, those of the largest norm."""

    every: int = 2
    hidden: float = 1.0
    ffn: float = 1.0

    def run(self, state: CompressionState) -> None:
        """Set `state.decision`.

        Raises:
            SuiteError: the model has fewer layers than that.
        """
        from vtrans.anatomy import anatomy_of

        anatomy = anatomy_of(state.model)
        layers = kept_layers(len(anatomy.blocks), self.every)
        state.decision = student_units(state.model, anatomy, layers, self.hidden, self.ffn)
        state.report["pruning"] = {"kept": state.decision.kept(), "layers": [layer + 1 for layer in layers]}

    def forecast(self, outlook: Forecast) -> float:
        """A decision without training: attention is a third of a layer, the FFN two thirds."""
        outlook.decided = self.hidden * (1 / 3 + self.ffn * 2 / 3) / self.every
        return 0.0


@dataclass(frozen=True)
class DistilStudent(Stage):
    """Train the student on the losses."""

    schedule: Schedule
    losses: StudentLosses

    def run(self, state: CompressionState) -> None:
        """Train `state.model`; its layer transformation stays in `state.transform`."""
        import torch

        from baselines.parts.student_objective import StudentObjective
        from vtrans.methods.distillation_setup import teacher_source

        layers = [layer - 1 for layer in state.report["pruning"]["layers"]]
        depth = state.teacher.shape[1]
        teach, rows = teacher_source(
            state, self, self._states(layers, depth), self.schedule, keep=not self.losses.attention
        )
        attending = state.teacher.model if self.losses.attention else None
        torch.manual_seed(state.stage_seed)  # after the teacher, which may have to be loaded or not
        objective = StudentObjective(state.model, teach, self.losses, layers, state.transform, attending)
        with objective.attending():
            state.fit(self, objective, self.schedule, rows)
        state.transform = objective.transform.weight.detach()

    def _states(self, layers: list[int], depth: int) -> tuple[int, ...]:
        """Teacher layers that the losses read, counted from 1."""
        own = {0, *(layer + 1 for layer in layers)} if self.losses.hidden else set()
        return tuple(sorted(own | ({depth} if self.losses.cosine else set())))

    def forecast(self, outlook: Forecast) -> float:
        """Passes of the student and its teacher, which runs in every step where attention is matched."""
        if self.losses.attention:
            return outlook.training(self.schedule, TRAINED + 1 / outlook.kept)
        return outlook.training(self.schedule, TRAINED, Distillation())


def kept_layers(depth: int, every: int) -> list[int]:
    """Indices of the last layers of parts of `every` layers.

    Raises:
        SuiteError: there are fewer layers than that.
    """
    from vtrans.errors import SuiteError

    if depth < every:
        raise SuiteError(f"a student of one layer in {every} needs a teacher of more than {depth}", "prune it instead")
    return list(range(every - 1, depth, every))


def student_units(model: Any, anatomy: "Anatomy", layers: list[int], hidden: float, ffn: float) -> "Masks":
    """The decision that leaves these layers and shares of units."""
    import torch

    from baselines.parts.unit_scores import keep_share, unit_scores
    from vtrans.pruning.masks import Masks

    heads, units = unit_scores(model, anatomy, "magnitude", None)
    chosen = keep_share(anatomy, heads, units, 1.0, ffn)
    on = [torch.tensor(float(layer in layers)) for layer in range(len(anatomy.blocks))]
    return Masks.of(_largest(model, anatomy, hidden), chosen.heads, chosen.ffn, on, on)


def _largest(model: Any, anatomy: "Anatomy", share: float) -> "Tensor":
    """The hidden units of the largest norm in the embedding tables."""
    import torch

    norms = sum(model.get_submodule(path).weight.detach().square().sum(0) for path in anatomy.embeddings)
    kept = torch.zeros(anatomy.hidden)
    kept[torch.as_tensor(norms).cpu().topk(round(share * anatomy.hidden)).indices] = 1.0
    return kept
