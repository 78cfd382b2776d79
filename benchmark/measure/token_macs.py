"""MACs of models that drop tokens, over a whole data set, from the token counts of one pass.

All that is linear in the tokens runs on the survivors alone. The scores of attention are padded, in a batch of
32, to the longest survivor of the batch, layer by layer. Padding is dropped on entry, so that padding the input
to a fixed length changes the cost of the dense model only.
"""

from collections.abc import Sequence

import numpy as np
from torch import nn

from benchmark.measure.macs import BATCH, count_macs_of
from vtrans.data.examples import Examples
from vtrans.errors import SuiteError
from vtrans.tokens import record_tokens
from vtrans.tokens.macs import LayerMacs

TOLERANCE = 1e-3  # between fvcore and the closed form


def dynamic_regimes(model: nn.Module, lengths: np.ndarray, real: Sequence[int]) -> dict[str, float]:
    """Mean MACs per sequence in the regimes of `MacCurve.regimes`.

    Args:
        model: drops tokens.
        lengths: tokens in each layer, `(rows, layers, 3)`, in the order of the data.
        real: tokens of each row before any is dropped.
    """
    macs, positions, seen = LayerMacs.of(model), np.array(real), lengths[:, :, 1]
    batch = float(macs(lengths, longest_of_batch(seen), longest_of_batch(positions)).mean())
    return {"unpadded": float(macs(lengths, seen, positions).mean()), "batch": batch, "sequence": batch}


def longest_of_batch(lengths: np.ndarray) -> np.ndarray:
    """Each row's counts replaced by the largest of its batch of 32; the first axis is rows."""
    parts = [lengths[i : i + BATCH] for i in range(0, len(lengths), BATCH)]
    return np.concatenate([np.broadcast_to(part.max(0), part.shape) for part in parts])


def check_closed_form(model: nn.Module, examples: Examples, row: int = 0) -> None:
    """Raise `SuiteError` where fvcore counts other MACs on a row than the lengths of that very pass give."""
    inputs = examples.batch([row])
    with record_tokens(model) as record:
        counted = count_macs_of(model, inputs["input_ids"], inputs["token_type_ids"])
    assert record.lengths is not None, "the model drops no tokens"
    lengths = record.lengths.cpu().numpy()
    closed = float(LayerMacs.of(model)(lengths, lengths[:, :, 1], np.array([len(examples.ids[row])]))[0])
    if abs(counted - closed) > TOLERANCE * closed:
        raise SuiteError(
            f"fvcore counts {counted:,} MACs on a row, its token counts give {closed:,.0f}", "see vtrans/tokens/macs.py"
        )
