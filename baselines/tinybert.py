"""TinyBERT-style student: fewer and narrower layers, without general distillation (Jiao et al. 2020)."""

from dataclasses import dataclass
from typing import Self

from baselines.parts.student_losses import StudentLosses
from baselines.parts.students import DistilStudent, KeepLayers
from vtrans.methods.base import Method, Stage
from vtrans.methods.stages import Materialise
from vtrans.settings import Schedule, Setting, check_range

TINYBERT_LAYERS = StudentLosses(hidden=1.0, attention=1.0)  # first stage of the task distillation, equation 11


TINYBERT_LOGITS = StudentLosses(prediction=1.0)  # its second stage


@dataclass(frozen=True)
class TinyBert(Method):
    """Fewer and narrower layers (Jiao et al. 2020: 4 of 12, 312 of 768 wide), without general distillation.

    Attributes:
        layers, logits: schedules of the two stages of the task distillation.
        every: one layer of so many is kept.
        hidden, ffn: shares of hidden and FFN units kept; heads are as many as the teacher's, for their attention.
    """

    name = "TinyBERT-style"
    summary = "every third layer, narrower; layers distilled, then logits; no general distillation"
    sized = False

    layers: Schedule
    logits: Schedule
    every: int = 3
    hidden: float = 312 / 768
    ffn: float = 1200 / 3072

    def __post_init__(self) -> None:
        check_range(self, "every", 1)
        check_range(self, "hidden", 0, 1, open_low=True)
        check_range(self, "ffn", 0, 1, open_low=True)

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With the setting's recovery, twice."""
        return cls(setting.schedules.recover, setting.schedules.recover)

    def stages(self) -> tuple[Stage, ...]:
        """Cut, distil the layers, distil the logits."""
        cut = (KeepLayers(self.every, self.hidden, self.ffn), Materialise())
        return (*cut, DistilStudent(self.layers, TINYBERT_LAYERS), DistilStudent(self.logits, TINYBERT_LOGITS))
