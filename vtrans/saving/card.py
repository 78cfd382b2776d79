"""The model card of a pruned model: how to load it, what it has left, what it scored, and whose licence it is under."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from vtrans.anatomy import Widths, anatomy_of, is_pruned
from vtrans.errors import SuiteError
from vtrans.tokens.encoder import token_pruning_encoder

CARD = "README.md"


@dataclass(frozen=True)
class Facts:
    """What is known of how a model came about.

    Attributes:
        method: that made it.
        task: of its head; empty for none.
        metrics: on the task's validation rows, in percent or as the metric has it.
        rows: how many those are.
        lines: more that is to be said, one line each.
        source: folder of the model that it was made from; its card names the licence.
    """

    method: str = ""
    task: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    rows: int = 0
    lines: Sequence[str] = ()
    source: Path | None = None


def write_card(model: nn.Module, folder: Path, facts: Facts | None = None) -> None:
    """Write `README.md` to a model's folder, with the fields that the Hugging Face hub reads.

    Raises:
        SuiteError: the folder cannot be written.
    """
    try:
        (folder / CARD).write_text(card(model, facts or Facts()), encoding="utf-8")
    except OSError as error:
        raise SuiteError(f"cannot write {folder / CARD}: {error.strerror}", "free some space") from None


def card(model: nn.Module, facts: Facts) -> str:
    """The card as text."""
    from huggingface_hub import EvalResult, ModelCardData

    licence, base = _origin(facts.source)
    scores = [
        EvalResult(_pipeline(model), facts.task, facts.task, metric_type=name, metric_value=value)
        for name, value in facts.metrics.items()
    ]
    known: dict[str, Any] = {"license": licence} | ({"base_model": base} if base else {})
    if scores:
        known |= {"model_name": "pruned model", "eval_results": scores}
    data = ModelCardData(library_name="transformers", tags=["vtrans", "pruned"], **known)
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(_text(model, facts, licence)) + "\n"


def _origin(source: Path | None) -> tuple[str | None, str | None]:
    """Licence and name of the model that a folder's card tells of; None for what it does not say."""
    from huggingface_hub import ModelCard

    path = source / CARD if source else None
    if path is None or not path.exists():
        return None, None
    try:
        data: Any = ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True).data
    except (OSError, ValueError):
        return None, None
    base = getattr(data, "base_model", None)
    return data.license, base if isinstance(base, str) else None


def _pipeline(model: nn.Module) -> str:
    name = type(model).__name__
    kinds = {"SequenceClassification": "text-classification", "QuestionAnswering": "question-answering"}
    kinds |= {"MaskedLM": "fill-mask"}
    return next((kind for part, kind in kinds.items() if part in name), "text-generation")


def _text(model: nn.Module, facts: Facts, licence: str | None) -> list[str]:
    config, widths, encoder = model.config, Widths.of(model), token_pruning_encoder(model)
    groups = [block.group for block in anatomy_of(model).blocks]
    heads = sum(n * group for n, group in zip(widths.heads, groups, strict=True))
    kept = f"{heads} heads, {sum(widths.ffn)} FFN units and {widths.hidden} hidden units"
    lines = [
        f"# A pruned {type(model).__name__}",
        "",
        f"Made with vtrans{f', method {facts.method}' if facts.method else ''}: {kept} in {len(widths.heads)} layers.",
    ]
    if encoder is not None:
        lines.append(f"It drops tokens between its layers (`{encoder.selector.spec.kind}`).")
    if facts.metrics:
        scores = ", ".join(f"{name} {value:.4g}" for name, value in facts.metrics.items())
        lines.append(f"On {facts.task}, {facts.rows:,} validation rows: {scores}.")
    lines += [*facts.lines, "", "## Loading", ""]
    if is_pruned(config):
        lines += ["transformers alone refuses this folder. Import `vtrans` first:", ""]
    first = ["import vtrans"] if is_pruned(config) else []
    auto = f"AutoModel{_head(model)}"
    code = [*first, f"from transformers import {auto}", "", f'model = {auto}.from_pretrained("this folder")']
    lines += ["```python", *code, "```", "", "## Licence", ""]
    origin = "The model that it was made from names none in its folder; its terms apply to this one as well."
    return [*lines, f"That of the model it was made from: {licence}." if licence else origin]


def _head(model: nn.Module) -> str:
    name = type(model).__name__
    known = ("SequenceClassification", "QuestionAnswering", "MaskedLM", "TokenClassification", "MultipleChoice")
    head = next((part for part in known if part in name), "CausalLM" if model.can_generate() else "")  # type: ignore
    return f"For{head}" if head else ""
