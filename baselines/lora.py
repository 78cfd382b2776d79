"""Controls for language models: units chosen without training, then recovery by adapters, as Faster-VTrans-LLM-LoRA."""

from dataclasses import dataclass

from baselines.fisher import Fisher, SearchMasks, TuneMasks
from baselines.one_shot import Choose, Magnitude, OneShot, Random
from vtrans.methods.adapters import RecoverLora
from vtrans.methods.base import Stage
from vtrans.methods.stages import Materialise
from vtrans.settings import Schedule, Setting


class _OneShotLoRA(OneShot):
    decodes = True

    def stages(self) -> tuple[Stage, ...]:
        """Choose, materialise, train adapters and merge them."""
        return (Choose(self.budget, self.score), Materialise(), RecoverLora(self.recover))


@dataclass(frozen=True)
class RandomLoRA(_OneShotLoRA, Random):
    """Random units: what adapters alone are worth."""

    name = "random-LoRA"
    summary = "random heads and FFN units, then adapters trained and merged: for language models"


@dataclass(frozen=True)
class MagnitudeLoRA(_OneShotLoRA, Magnitude):
    """Units of the largest norm."""

    name = "magnitude-LoRA"
    summary = "heads and FFN units of smallest norm removed, then adapters trained and merged: for language models"


@dataclass(frozen=True)
class FisherLoRA(Fisher):
    """Masks by Fisher information, tuned by least squares, then adapters.

    Attributes:
        recover: schedule of the adapters.
    """

    name = "Fisher-LoRA"
    summary = "the masks of Fisher, then adapters trained and merged: for language models"
    decodes = True

    recover: Schedule = Schedule(epochs=1)

    @classmethod
    def build(cls, setting: Setting) -> "FisherLoRA":
        """With the setting's recovery; on fewer rows than Fisher, for these are windows of some hundred tokens."""
        search, tune = SearchMasks(setting.budget, samples=512), TuneMasks(samples=64)
        return cls(setting.budget, search, tune, setting.schedules.recover)

    def stages(self) -> tuple[Stage, ...]:
        """Those of Fisher, then adapters."""
        return (*super().stages(), RecoverLora(self.recover))
