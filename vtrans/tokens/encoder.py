"""An encoder that drops tokens: the stock layers of a stock model, run on the tokens that a selector keeps."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from vtrans.anatomy import Anatomy
from vtrans.errors import SuiteError
from vtrans.selectors import SelectorSpec
from vtrans.tokens.attention import Fidelity, Significance, real_tokens
from vtrans.tokens.packed import PackedTokens


class Selector(nn.Module, ABC):
    """Decides which tokens stay. A module, so that what it learns is saved with the model.

    Tokens come padded, `(batch, length, hidden)`, or packed, `(n, hidden)`; `Tokens` says which is which.

    Attributes:
        spec: its kind, and what it costs.
        place: `layer`, before a layer, or `ffn`, between its attention and its FFN.
        learns: whether decisions carry gradients, so that training has to mask instead of gather.
        fidelity: of the masked attention.
        significance: what is told of tokens under place `ffn`, as of `attention.significance_of`.
    """

    spec: ClassVar[SelectorSpec]
    place: ClassVar[Literal["layer", "ffn"]]
    learns: ClassVar[bool]
    fidelity: Fidelity = "corrected"
    significance: ClassVar[Significance] = "others"

    @abstractmethod
    def forward(self, layer: int, hidden: Tensor, seen: Tensor | None, tokens: "Tokens") -> "TokenDecision":
        """Choose among tokens; `seen` is their significance under place `ffn`."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON values to build it from again."""

    def macs(self, layer: int, hidden: int) -> float:
        """Multiply-accumulates per token that enters a layer of a model of that hidden width."""
        return self.spec.macs(hidden)

    def check(self, anatomy: Anatomy, positions: int) -> None:
        """Raise `SuiteError` where it does not fit a model with so many positions."""


_SELECTORS: dict[str, type[Selector]] = {}


def register_selector(selector: type[Selector]) -> type[Selector]:
    """Register the decorated class under its kind, so that models that hold it can be loaded.

    Raises:
        SuiteError: it lacks its spec, with kind and MACs, or another part of a selector.
    """
    missing = [name for name in ("spec", "place", "learns") if not hasattr(selector, name)]
    missing += sorted(getattr(selector, "__abstractmethods__", ()))
    if missing:
        raise SuiteError(f"selector {selector.__name__} lacks {', '.join(missing)}", "define it in the class")
    _SELECTORS[selector.spec.kind] = selector
    return selector


def selector_of(kind: str) -> type[Selector]:
    """The selector class of a kind.

    Raises:
        SuiteError: none is registered.
    """
    if kind not in _SELECTORS:
        known = ", ".join(sorted(_SELECTORS))
        raise SuiteError(f"unknown token selector {kind!r}", f"import the module that registers it; known: {known}")
    return _SELECTORS[kind]


class Tokens(Protocol):
    """What a selector may ask about the tokens before it."""

    @property
    def first(self) -> Tensor:
        """Whether a token is the first of its sequence, bool like the tokens."""
        ...

    def ranks(self, seen: Tensor) -> Tensor:
        """Rank of each token in its sequence: 0 for the first token, then by falling `seen`."""
        ...


@dataclass(frozen=True)
class TokenDecision:
    """What a selector says at one layer.

    Attributes:
        keep: 1 or True for tokens that stay; straight-through in training.
        probability: chance of being kept, before any noise, likewise; None where nothing is learnt.
        soft: the relaxed sample behind `keep`; None likewise.
        scale: factor on the states of each token; None for 1.
        scale_output: the same, on the states that leave the layer.
    """

    keep: Tensor
    probability: Tensor | None = None
    soft: Tensor | None = None
    scale: Tensor | None = None
    scale_output: Tensor | None = None


@dataclass(frozen=True)
class Trace:
    """What a loss needs of one layer of a masked pass.

    Attributes:
        hidden: states before the decision, `(batch, length, hidden)`.
        real: bool `(batch, length)`, False on padding.
        before, after: tokens kept up to this layer, before and after its decision, `(batch, length)`.
        decision: what the selector said.
    """

    hidden: Tensor
    real: Tensor
    before: Tensor
    after: Tensor
    decision: TokenDecision


@dataclass
class TokenRecord:
    """What a model's last forward pass did to its tokens.

    Attributes:
        traces: what a loss needs, one for each layer of a masked pass whose selector gives probabilities, in order;
            empty unless `wanted`.
        lengths: tokens of each sample in a gathered pass, `(batch, layers, 3)`: those that enter a layer, that its
            attention sees, and that its FFN sees; None for a masked pass, and for a model that drops none.
        survivors: the tokens that the FFN of each layer sees, of a gathered pass.
        wanted: whether traces are kept: they hold the states of all layers.
    """

    traces: list[Trace] = field(default_factory=list)
    lengths: Tensor | None = None
    survivors: list[PackedTokens] = field(default_factory=list)
    wanted: bool = False


class TokenPruningEncoder(nn.Module):
    """Stands in the place of a model's encoder; its layers are those of the encoder, in the same order.

    Masked, tokens stay where they are and dropped ones keep their last state, unseen by the others. Gathered,
    the layers run on the survivors alone: those of all sequences lie end to end, without padding, but for the
    scores of attention, which are padded to the longest survivor of the batch. Dropped states are put back at
    the end where a head reads them. Both give the same logits, unless the selector's fidelity is `official`.
    States of single layers and attention weights are not recorded.

    Args:
        layers: the layers, called `layer` as in the stock encoder, so that all paths stay.
        selector: chooses tokens.
        scatter: whether heads read every position.
    """

    def __init__(self, layers: nn.ModuleList, selector: Selector, scatter: bool) -> None:
        super().__init__()
        self.layer, self.selector, self.scatter = layers, selector, scatter
        self.form: Literal["auto", "masked", "gathered"] = "auto"
        self.record = TokenRecord()

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """States `(batch, length, hidden)` of the last layer, in the stock encoder's signature.

        Gathered without `scatter`, only the state of the first token, `(batch, 1, hidden)`.

        Raises:
            SuiteError: a sequence starts with padding, or is nothing else.
        """
        valid = real_tokens(attention_mask, hidden_states)
        if not bool(valid[:, 0].all()):
            raise SuiteError("a sequence starts with padding", "pad on the right: the first token always stays")
        self.record.traces, self.record.lengths, self.record.survivors = [], None, []
        masked = self.form == "masked" or (self.form == "auto" and self.training and self.selector.learns)
        last = self._masked(hidden_states, valid) if masked else self._gathered(hidden_states, valid)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=last)

    def _gathered(self, hidden: Tensor, valid: Tensor) -> Tensor:
        packed, lengths = PackedTokens.of(valid), list[Tensor]()
        resting, hidden = hidden, hidden.flatten(0, 1)[valid.flatten()]

        def drop(chosen: Tensor) -> None:
            """Leave the states of tokens where they are, and go on with the chosen ones."""
            nonlocal packed, resting, hidden
            # To a tracer, a decision that nothing follows would be dead code, and its cost not be counted.
            if not torch._C._get_tracing_state() and bool(chosen.all()):
                return
            resting = self._rest(resting, packed, hidden)
            packed, hidden = packed.take(chosen), hidden[chosen]

        for index, layer in enumerate(self.layer):
            entered, after = packed.lengths, None
            if self.selector.place == "layer":
                drop(self.selector(index, hidden, None, PackedView(packed)).keep > 0)
            attended = packed.lengths
            context, seen = self._attend(layer, hidden[None], None, packed=packed)
            hidden = context[0]
            if seen is not None:
                decision = self.selector(index, hidden, seen, PackedView(packed))
                hidden, after = scaled(hidden, decision.scale), decision.scale_output
                after = None if after is None else after[decision.keep > 0]
                drop(decision.keep > 0)
            lengths += [entered, attended, packed.lengths]
            self.record.survivors.append(packed)
            hidden = scaled(feed(layer, hidden), after)
        self.record.lengths = torch.stack(lengths, 1).view(len(valid), -1, 3)
        return self._rest(resting, packed, hidden) if self.scatter else hidden[packed.starts].unsqueeze(1)

    def _rest(self, resting: Tensor, packed: PackedTokens, hidden: Tensor) -> Tensor:
        if not self.scatter:
            return resting
        return resting.index_put((packed.sample, packed.place), hidden.to(resting.dtype))

    def _masked(self, hidden: Tensor, valid: Tensor) -> Tensor:
        kept = valid.float()
        mask = None if bool(valid.all()) else valid[:, None, None, :]
        for index, layer in enumerate(self.layer):
            before, entering, decision = kept, hidden, None
            if self.selector.place == "layer":
                decision = self.selector(index, hidden, None, PaddedView(kept > 0))
                kept = before * decision.keep
            context, seen = self._attend(layer, hidden, mask, token_keep=kept)
            hidden = _blend(kept, context, hidden)
            if seen is not None:
                decision = self.selector(index, hidden, seen, PaddedView(kept > 0))
                kept = kept * decision.keep
                hidden = scaled(hidden, decision.scale)
            fed = scaled(feed(layer, hidden), decision.scale_output if decision else None)
            hidden = _blend(kept, fed, hidden)
            if self.record.wanted and decision is not None and decision.probability is not None:
                self.record.traces.append(Trace(entering, valid, before, kept, decision))
        return hidden

    def _attend(self, layer: Any, hidden: Tensor, mask: Tensor | None, **how: Any) -> tuple[Tensor, Tensor | None]:
        significance = self.selector.significance if self.selector.place == "ffn" else None
        found: tuple[Tensor, Tensor | None] = layer.attention(
            hidden, mask, fidelity=self.selector.fidelity, significance=significance, **how
        )
        return found


@dataclass(frozen=True)
class PackedView:
    """`Tokens` laid end to end."""

    packed: PackedTokens

    @property
    def first(self) -> Tensor:
        """Whether a token is the first of its sequence, `(n,)`."""
        return self.packed.first

    def ranks(self, seen: Tensor) -> Tensor:
        """Rank of each token by falling `seen`, `(n,)`."""
        valid = self.packed.pad(torch.ones_like(seen, dtype=torch.bool))
        return self.packed.unpad(PaddedView(valid).ranks(self.packed.pad(seen)))


@dataclass(frozen=True)
class PaddedView:
    """`Tokens` of a padded batch, the padding on the right; `valid` is bool `(batch, length)`."""

    valid: Tensor

    @property
    def first(self) -> Tensor:
        """Whether a token is the first of its sequence, `(batch, length)`."""
        return (torch.arange(self.valid.shape[1], device=self.valid.device) == 0).expand_as(self.valid)

    def ranks(self, seen: Tensor) -> Tensor:
        """Rank of each token by falling `seen`, those not valid last, `(batch, length)`."""
        seen = seen.masked_fill(~self.valid, float("-inf"))
        seen = torch.cat([torch.full_like(seen[:, :1], float("inf")), seen[:, 1:]], 1)
        return seen.argsort(dim=1, descending=True, stable=True).argsort(dim=1)


def feed(layer: Any, hidden: Tensor) -> Tensor:
    """States after the FFN of a stock layer, and the norm after it."""
    found: Tensor = layer.output(layer.intermediate(hidden), hidden)
    return found


def scaled(hidden: Tensor, factor: Tensor | None) -> Tensor:
    """States `(..., hidden)` times a factor for each token; as they are where there is none."""
    return hidden if factor is None else hidden * factor.unsqueeze(-1).to(hidden.dtype)


def _blend(keep: Tensor, new: Tensor, old: Tensor) -> Tensor:
    share = keep.unsqueeze(-1).to(new.dtype)
    return share * new + (1 - share) * old


def token_pruning_encoder(model: nn.Module) -> TokenPruningEncoder | None:
    """The dropping encoder of a model, None where it has none."""
    return next((module for module in model.modules() if isinstance(module, TokenPruningEncoder)), None)


@contextmanager
def record_tokens(model: nn.Module) -> Iterator[TokenRecord]:
    """Record, inside the context, what each forward pass of a model does to its tokens; the last pass counts."""
    encoder = token_pruning_encoder(model)
    record = TokenRecord(wanted=True)
    before = encoder.record if encoder else record
    if encoder:
        encoder.record = record
    try:
        yield record
    finally:
        if encoder:
            encoder.record = before
