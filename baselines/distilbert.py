"""DistilBERT-style student: half of the teacher's layers, distilled on the task alone (Sanh et al. 2019)."""

from dataclasses import dataclass

from baselines.parts.student_losses import StudentLosses
from baselines.parts.students import DistilStudent, KeepLayers
from vtrans.methods.base import Method, Stage
from vtrans.methods.stages import Materialise
from vtrans.settings import Schedule

DISTILBERT = StudentLosses(prediction=5.0, task=2.0, cosine=1.0, temperature=2.0)  # of its training script


@dataclass(frozen=True)
class DistilBert(Method):
    """Half of the layers, as wide as the teacher (Sanh et al. 2019), distilled on the task alone."""

    train: Schedule
    every: int = 2
    losses: StudentLosses = DISTILBERT

    def stages(self) -> tuple[Stage, ...]:
        """Cut, distil."""
        return (KeepLayers(self.every), Materialise(), DistilStudent(self.train, self.losses))
