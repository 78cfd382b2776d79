"""Faster-VTrans for language models, by the recipe of the authors' follow-up TVA-prune (code of 2024-08-25)."""

from dataclasses import dataclass

from vtrans.methods.adapters import RecoverLora
from vtrans.methods.base import Stage
from vtrans.methods.stages import Materialise, RoundWidths, TuneScales
from vtrans.methods.vtrans import FasterVTrans
from vtrans.settings import Distillation


@dataclass(frozen=True)
class FasterVTransLLM(FasterVTrans):
    """Gates on hidden units, heads and FFN units, trained on the text alone; the weights stay as they are.

    The follow-up folds the trained means; here the scales of the kept gates are trained a little longer, as in
    Faster-VTrans.

    Attributes:
        distillation: none; the cross-entropy of the text takes its place (TVA-prune, equation 1).
        sites: no layer gates.
        multiple: widths are rounded to multiples of it; 1 leaves them (TVA-prune: 128).
        lora: recovery by adapters; None for none.
    """

    distillation: Distillation = Distillation(prediction=0.0, layer=0.0, task=1.0)
    sites: tuple[str, ...] = ("hidden", "heads", "ffn")
    noise: str = "token"
    multiple: int = 1
    lora: RecoverLora | None = None

    def gate_stages(self) -> tuple[Stage, ...]:
        """What leads to the decision: all that a model in shards goes through."""
        subset, prune = super().stages()[:2]
        rounding: tuple[Stage, ...] = (RoundWidths(self.multiple),) if self.multiple > 1 else ()
        return (subset, prune, *rounding, TuneScales(self.recover, self.distillation, self.scale_rate))

    def stages(self) -> tuple[Stage, ...]:
        """As Faster-VTrans, with rounded widths and adapters where asked for."""
        return (*self.gate_stages(), Materialise(), *((self.lora,) if self.lora else ()))
