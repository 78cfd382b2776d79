"""Running text with tokens masked, as BERT's pre-training has it: data of a masked language model."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vtrans.data.examples import Examples
from vtrans.data.windows import IGNORED
from vtrans.errors import SuiteError

SHARE = 0.15  # of the tokens are to be predicted (Devlin et al. 2019, section 3.1)
MASKED, RANDOM = 0.8, 0.1  # of those: become the mask token, become a random one; the rest stay


def masked_count(length: int) -> int:
    """Tokens that are to be predicted in a window of `length` tokens, its frame included."""
    return max(1, round(SHARE * (length - 2)))


@dataclass(frozen=True)
class MaskedWindows(Examples):
    """Windows of a text, framed by two special tokens. `labels` are zeros, one per window: there is one class.

    Attributes:
        mask: id of the mask token.
        vocabulary: number of token ids, of which random ones are drawn.
        seed: of the masks, each window's own and the same every time; None draws new ones for each batch from
            torch's generator.
    """

    mask: int = 0
    vocabulary: int = 1
    seed: int | None = None

    @classmethod
    def of(cls, ids: Sequence[int], size: int, frame: tuple[int, int], **more: int) -> "MaskedWindows":
        """Cut `ids` into windows of `size` tokens, `frame` included, that do not overlap; a shorter rest is left out.

        Args:
            ids: tokens of the text.
            size: of a window.
            frame: ids that stand before and after each.
            more: `pad`, `mask`, `vocabulary`.

        Raises:
            SuiteError: the text is shorter than one window, or a window has no room for a token.
        """
        inside = size - 2
        if inside < 1:
            raise SuiteError(f"a window of {size} tokens has no room for a token", "give a longer window")
        if len(ids) < inside:
            raise SuiteError(f"the text has {len(ids)} tokens, one window {size}", "give a longer text")
        starts = range(0, len(ids) - inside + 1, inside)
        parts = [array("i", [frame[0], *ids[i : i + inside], frame[1]]) for i in starts]
        return cls(parts, [[0] * size] * len(parts), torch.zeros(len(parts), dtype=torch.long), **more)

    @property
    def repeats(self) -> bool:
        """No: masks are drawn."""
        return False

    def fixed(self, seed: int) -> "MaskedWindows":
        """The same windows, each with masks of its own that never change: for evaluation."""
        return self._with(range(len(self)), seed)

    def take(self, rows: Sequence[int]) -> "MaskedWindows":
        """The given windows, in the given order. Fixed masks go by place, so that rows are taken before `fixed`."""
        return self._with(rows, self.seed)

    def _with(self, rows: Sequence[int], seed: int | None) -> "MaskedWindows":
        part = super().take(rows)
        return MaskedWindows(part.ids, part.types, part.labels, self.pad, self.mask, self.vocabulary, seed)

    def batch(self, rows: Sequence[int], length: int = 0) -> dict[str, Tensor]:
        """Inputs `(rows, longest)` with masks; the labels are the tokens there, `IGNORED` elsewhere."""
        inputs = super().batch(rows, length)
        drawn = [self._draw(row, len(self.ids[row])) for row in rows]
        ids, labels = inputs["input_ids"], torch.full_like(inputs["input_ids"], IGNORED)
        for i, (chosen, put) in enumerate(drawn):
            labels[i, chosen] = ids[i, chosen]
            ids[i, chosen] = torch.where(put < 0, ids[i, chosen], put)
        return inputs | {"labels": labels}

    def _draw(self, row: int, length: int) -> tuple[Tensor, Tensor]:
        """Places to be predicted in a window, at least one, and what is put there, -1 for what is there already."""
        own = None if self.seed is None else torch.Generator().manual_seed(self.seed * 1_000_003 + row)
        count = masked_count(length)
        places = 1 + torch.randperm(length - 2, generator=own)[:count]
        how = torch.rand(count, generator=own)
        put = torch.where(how < MASKED, self.mask, torch.randint(self.vocabulary, (count,), generator=own))
        return places, torch.where(how < MASKED + RANDOM, put, -1)
