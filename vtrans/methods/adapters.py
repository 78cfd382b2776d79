"""Recovery by low-rank adapters, which are merged into the weights at the end."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vtrans.forecast import FROZEN, Forecast
from vtrans.methods.base import CompressionState, Stage
from vtrans.settings import Distillation, Schedule

if TYPE_CHECKING:
    from vtrans.objectives.adapters import LoraAdapters


@dataclass(frozen=True)
class RecoverLora(Stage):
    """Train adapters of all projections on the text itself, with a little of the teacher's distribution.

    Attributes:
        schedule: of the training.
        rank, alpha, dropout: of the adapters (TVA-prune: 128, 4 x rank, 0.05).
        distillation: TVA-prune: cross-entropy and 0.01 KL at temperature 1, no layers.
    """

    schedule: Schedule
    rank: int = 128
    alpha: int = 512
    dropout: float = 0.05
    distillation: Distillation = Distillation(prediction=0.01, layer=0.0, task=1.0, temperature=1.0)

    def run(self, state: CompressionState) -> None:
        """Fine-tune `state.model` through adapters."""
        import torch

        from vtrans.methods.distillation_setup import prepare
        from vtrans.objectives.adapters import LoraAdapters, LoraObjective

        model, device = state.model, state.run_context.engine.device(state.model)
        setup = prepare(state, self, self.distillation, self.schedule)
        torch.manual_seed(state.stage_seed)  # after the teacher, which may have to be loaded or not
        adapters = LoraAdapters(model, projections(model), self.rank, self.alpha, self.dropout).to(device)
        with adapters.attached(model):
            state.fit(self, LoraObjective(model, adapters, setup.distiller), self.schedule, setup.rows)
        self._merge(state, adapters)

    def _merge(self, state: CompressionState, adapters: "LoraAdapters") -> None:
        from vtrans.methods.files import merge

        if state.run_context.engine.frozen_backbone:
            state.model = merge(state, adapters)
        else:
            adapters.merge_into(state.model)

    def forecast(self, outlook: Forecast) -> float:
        """Passes of the model, its weights frozen but for the adapters, and its teacher."""
        return outlook.training(self.schedule, FROZEN, self.distillation)


def projections(model: Any) -> list[str]:
    """Paths of all projections of the layers that are left."""
    from vtrans.anatomy import anatomy_of

    paths: list[str] = []
    for block in anatomy_of(model).blocks:
        attention = (block.query, block.key, block.value, block.out) if block.heads else ()
        paths += dict.fromkeys((*attention, *((*block.up, block.down) if block.ffn else ())))
    return paths
