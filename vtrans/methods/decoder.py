"""Faster-VTrans for language models, after the authors' follow-up TVA-prune (code of 2024-08-25)."""

from dataclasses import dataclass, replace
from typing import Literal, Self

from vtrans.methods.adapters import RecoverLora
from vtrans.methods.base import Stage
from vtrans.methods.stages import Materialise, RoundWidths, TuneScales, VariationalGates
from vtrans.methods.vtrans import FasterVTrans
from vtrans.settings import Distillation, Setting


@dataclass(frozen=True)
class FasterVTransLLM(FasterVTrans):
    """Gates on hidden units, heads and FFN units, trained on the text alone; the weights stay as they are.

    The follow-up folds the trained means; here the scales of the kept gates are trained a little longer, as in
    Faster-VTrans. Its script has other settings than VTrans's, which stand here: multipliers at a rate of 0.1 (here
    0.05), the quadratic one from 0 (100), a target that grows over 0.1 of the steps (0.4), one rate for all gates (a
    quarter of it for hidden units) that decays linearly (constant), scales trained at that rate, too (at a tenth),
    log-odds that start at 9 (3), a count as sharp as 10 throughout (1 to 4), a target that rises from the measured
    sparsity (0), a constraint that pushes by what a unit owns (by the square root, but under `paper`), and hidden noise
    for each use (for each step).

    Attributes:
        distillation: none; the cross-entropy of the text takes its place (TVA-prune, equation 1).
        sites: no layer gates.
        multiple: widths are rounded to multiples of it; 1 leaves them (TVA-prune: 128).
        lora: recovery by adapters; None for none.
    """

    name = "Faster-VTrans-LLM"
    summary = "only gates trained, on the text alone: for language models"
    decodes = True
    frozen_backbone = True

    distillation: Distillation = Distillation(prediction=0.0, layer=0.0, task=1.0)
    sites: tuple[str, ...] = ("hidden", "heads", "ffn")
    noise: Literal["batch", "sample", "token"] = "token"
    multiple: int = 1
    lora: RecoverLora | None = None

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With TVA-prune's KL weights in the suite `llm`, and there on all data but under `quick`."""
        method = super().build(setting)
        if setting.suite != "llm":
            return method
        gates = VariationalGates(information=tva_information(setting.layers))
        fraction = method.fraction if setting.scale == "quick" else 1.0
        return replace(method, gates=gates, fraction=fraction, multiple=128 if setting.scale == "paper" else 1)

    def gate_stages(self) -> tuple[Stage, ...]:
        """The stages before surgery: take rows, prune, round widths, tune scales."""
        subset, prune = super().stages()[:2]
        rounding: tuple[Stage, ...] = (RoundWidths(self.multiple),) if self.multiple > 1 else ()
        return (subset, prune, *rounding, TuneScales(self.recover, self.distillation, self.scale_rate))

    def stages(self) -> tuple[Stage, ...]:
        """As Faster-VTrans, with rounded widths and adapters where asked for."""
        return (*self.gate_stages(), Materialise(), *((self.lora,) if self.lora else ()))


@dataclass(frozen=True)
class FasterVTransLLMLoRA(FasterVTransLLM):
    """The same, then adapters trained and merged."""

    name = "Faster-VTrans-LLM-LoRA"
    summary = "the same, then adapters trained and merged"

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With adapters under the schedule of recovery."""
        return replace(super().build(setting), lora=RecoverLora(setting.schedules.recover))


def tva_information(layers: int) -> dict[str, float]:
    """KL weights of TVA-prune: heads 64, FFN units 1, the hidden gate twice per layer and 30 times for embeddings."""
    return {"hidden": (2 * layers + 30) * 1e-6, "heads": 64e-6, "ffn": 1e-6}
