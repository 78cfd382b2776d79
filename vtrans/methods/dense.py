"""The dense model: first row of every table, and teacher of all others."""

from dataclasses import dataclass, replace
from typing import Self

from vtrans.methods.base import Method, Stage
from vtrans.methods.stages import Finetune
from vtrans.settings import Schedule, Setting


@dataclass(frozen=True)
class Dense(Method):
    """The fine-tuned model as it is."""

    name = "dense"
    summary = "the fine-tuned model, not compressed"
    sized = False

    finetune: Schedule | None

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With the setting's fine-tuning, if any."""
        return cls(setting.schedules.finetune)

    def stages(self) -> tuple[Stage, ...]:
        """Fine-tune, or nothing."""
        return (Finetune(self.finetune),) if self.finetune else ()


@dataclass(frozen=True)
class DenseLonger(Method):
    """The dense model trained on, for as long as a compressed row trains: what the added steps alone are worth."""

    name = "dense-longer"
    summary = "the fine-tuned model trained on, for as many steps as pruning and recovery take"
    sized = False

    finetune: Schedule

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With the batches of the setting's recovery and the rate of its fine-tuning."""
        prune, recover, first = setting.schedules.prune, setting.schedules.recover, setting.schedules.finetune
        longer = replace(recover, steps=prune.steps + recover.steps, epochs=prune.epochs + recover.epochs)
        return cls(replace(longer, lr=first.lr, warmup=first.warmup) if first else longer)

    def stages(self) -> tuple[Stage, ...]:
        """Fine-tune on."""
        return (Finetune(self.finetune),)
