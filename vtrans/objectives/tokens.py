"""What a token stage trains: a selector together with its model."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.optim import Optimizer

from vtrans.objectives.base import Batch, TaskObjective, freeze, weight_optimizer
from vtrans.settings import Schedule
from vtrans.tokens.encoder import TokenPruningEncoder, Trace, record_tokens

Losses = Callable[[Sequence[Trace], float], dict[str, Tensor]]


class TokenObjective(TaskObjective):
    """The task's loss of the masked model, and terms that make its selector drop tokens.

    Args:
        model: with a dropping encoder.
        encoder: that encoder.
        selector_losses: of the selector, from the traces of a pass and the share of the steps that are done.
        rate: peak learning rate of the selector.
    """

    def __init__(self, model: nn.Module, encoder: TokenPruningEncoder, selector_losses: Losses, rate: float) -> None:
        super().__init__(model)
        self._kept: list[float] = []
        self.encoder, self.selector_losses, self.rate = encoder, selector_losses, rate

    def optimizers(self, schedule: Schedule) -> dict[str, Optimizer]:
        """One, with a group of its own for the selector."""
        freeze(self.modules["model"], schedule)
        selector = self.encoder.selector.requires_grad_(True)
        return {"weights": weight_optimizer(self.modules, schedule, selector.parameters(), self.rate)}

    def losses(self, batch: Batch, step: int, total: int) -> dict[str, Tensor]:
        """Task loss and the terms of the selector."""
        with record_tokens(self.encoder) as record:
            task = super().losses(batch, step, total)
            self._kept = [float((t.after.detach().sum(1) / t.real.sum(1)).mean()) for t in record.traces]
            return task | self.selector_losses(record.traces, step / total)

    def metrics(self) -> dict[str, float]:
        """Share of real tokens that the last layer keeps, and of all layers."""
        kept = self._kept
        return {"kept": sum(kept) / len(kept), "kept_last": kept[-1]} if kept else {}
