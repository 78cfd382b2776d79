"""DistilBERT-style student: half of the teacher's layers, distilled on the task alone (Sanh et al. 2019)."""

from dataclasses import dataclass
from typing import Self

from baselines.parts.student_losses import StudentLosses
from baselines.parts.students import DistilStudent, KeepLayers
from vtrans.methods.base import Method, Stage
from vtrans.methods.stages import Materialise
from vtrans.settings import Schedule, Setting, check_range

DISTILBERT = StudentLosses(prediction=5.0, task=2.0, cosine=1.0, temperature=2.0)  # of its training script


@dataclass(frozen=True)
class DistilBert(Method):
    """Half of the layers, as wide as the teacher (Sanh et al. 2019), distilled on the task alone."""

    name = "DistilBERT-style"
    summary = "every second layer of the teacher, distilled on the task"
    sized = False

    train: Schedule
    every: int = 2
    losses: StudentLosses = DISTILBERT

    def __post_init__(self) -> None:
        check_range(self, "every", 1)

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With the setting's recovery."""
        return cls(setting.schedules.recover)

    def stages(self) -> tuple[Stage, ...]:
        """Cut, distil."""
        return (KeepLayers(self.every), Materialise(), DistilStudent(self.train, self.losses))
