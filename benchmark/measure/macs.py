"""Count multiply-accumulates with fvcore, in three padding regimes.

fvcore counts one multiply-accumulate as one "flop"; the unit here is MACs. Only matrix products count
(Linear, matmul, attention): norms, softmax and activations do not, so that the count equals the closed
form of `vtrans.pruning.size`. A matrix product that fvcore does not know is an error, never a warning.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

from benchmark.measure.predict import logits_of
from vtrans.errors import SuiteError

BATCH = 32  # of the `batch` padding regime
_IGNORED = ("layer_norm", "softmax", "add", "mul", "gelu", "tanh", "embedding", "where", "div", "sub", "rsqrt", "pow")
_PRODUCTS = ("mm", "matmul", "linear", "attention", "einsum", "conv", "dot", "bilinear")


def attention_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """MACs of fused attention: scores and context, from the shapes of query, key and value."""
    query, key, value = (x.type().sizes() for x in inputs[:3])
    lead = 1
    for n in query[:-2]:
        lead *= n
    found: int = lead * query[-2] * key[-2] * (query[-1] + value[-1])
    return found


class _Counted(nn.Module):
    """Gives the model's logits for tensors by position, which is what tracing takes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.typed = model, "token_type_ids" in signature(model.forward).parameters

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        """Logits for ids, mask and types, `(batch, length)` each."""
        types = {"token_type_ids": token_type_ids} if self.typed else {}
        return logits_of(self.model(input_ids=input_ids, attention_mask=attention_mask, **types))


def count_macs(model: nn.Module, length: int, batch: int = 1) -> int:
    """MACs of one forward pass over `batch` sequences of `length` tokens, everything in the model included.

    Raises:
        SuiteError: the model has a matrix product that cannot be counted.
    """
    ids = torch.ones(batch, length, dtype=torch.long)
    return count_macs_of(model, ids, torch.zeros_like(ids))


def count_macs_of(model: nn.Module, ids: torch.Tensor, types: torch.Tensor) -> int:
    """MACs of one forward pass over ids and types `(batch, length)`; those of a dynamic model depend on them.

    Raises:
        SuiteError: the model has a matrix product that cannot be counted.
    """
    device = next(model.parameters()).device
    inputs = (ids.to(device), torch.ones_like(ids, device=device), types.to(device))
    analysis = FlopCountAnalysis(_Counted(model.eval()), inputs)
    analysis.set_op_handle("aten::scaled_dot_product_attention", attention_macs)
    for name in _IGNORED:
        analysis.set_op_handle(f"aten::{name}", lambda inputs, outputs: 0)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        total = round(analysis.total())
    refuse_uncounted(analysis.unsupported_ops())
    found: int = total
    return found


def refuse_uncounted(operators: dict[str, int]) -> None:
    """Raise `SuiteError` where an operator that was not counted is a matrix product by its name."""
    missed = [name for name in operators if any(word in name.lower() for word in _PRODUCTS)]
    if missed:
        raise SuiteError(f"fvcore does not count {', '.join(missed)}", "register a handle in benchmark/measure/macs.py")


@dataclass(frozen=True)
class MacCurve:
    """MACs of one sequence as a function of its length: c0 + c1 L + c2 L^2, exact for a Transformer."""

    constant: float
    linear: float
    quadratic: float

    @classmethod
    def of(cls, model: nn.Module) -> "MacCurve":
        """Fit the three coefficients to three counts of fvcore, and check a fourth.

        Raises:
            SuiteError: the fourth count is not on the curve.
        """
        counts = [count_macs(model, n) for n in (1, 2, 4)]
        quadratic = ((counts[2] - counts[1]) / 2 - (counts[1] - counts[0])) / 3
        linear = counts[1] - counts[0] - 3 * quadratic
        curve = cls(counts[0] - linear - quadratic, linear, quadratic)
        if abs(curve(16) - count_macs(model, 16)) > 1e-3 * curve(16):
            raise SuiteError("the model's MACs are no quadratic in the length", "count it length by length")
        return curve

    def __call__(self, length: float) -> float:
        """MACs of a sequence of `length` tokens."""
        return self.constant + self.linear * length + self.quadratic * length**2

    def regimes(self, lengths: Sequence[int], fixed: int) -> dict[str, float]:
        """Mean MACs per sequence over rows of the given lengths, in the order of the data.

        `unpadded`: each at its real length. `batch`: padded to the longest of its batch of 32.
        `sequence`: padded to `fixed` tokens (longer ones are counted at their own length).
        """
        batches = [lengths[i : i + BATCH] for i in range(0, len(lengths), BATCH)]
        padded = [max(part) for part in batches for _ in part]
        widths = {"unpadded": lengths, "batch": padded, "sequence": [max(fixed, n) for n in lengths]}
        return {name: sum(map(self, values)) / len(values) for name, values in widths.items()}
