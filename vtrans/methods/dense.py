"""The dense model: first row of every table, and teacher of all others."""

from dataclasses import dataclass
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
