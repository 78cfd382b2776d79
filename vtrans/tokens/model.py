"""Models that drop tokens as classes of transformers' own kind, with a config that says how they choose."""

from functools import cache
from typing import Any, cast

from torch import nn

from vtrans.anatomy import anatomy_of, write_widths
from vtrans.anatomy.base import family_name
from vtrans.dropping import CLASS_PREFIX, CONFIG_FIELD, FAMILIES, config_class, register
from vtrans.errors import SuiteError
from vtrans.tokens import attention as token_attention
from vtrans.tokens.encoder import Selector, TokenPruningEncoder, selector_of, token_pruning_encoder

_AUTO = (
    "AutoModel",
    "AutoModelForMaskedLM",
    "AutoModelForMultipleChoice",
    "AutoModelForQuestionAnswering",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
)


@cache
def model_class(stock: Any) -> Any:
    """The class of models that drop tokens, from a stock one.

    It builds the stock model and gives it the selector that its config names.
    """

    def build(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        stock.__init__(self, config, *args, **kwargs)
        _attach(self, config)

    fields = {"__init__": build, "config_class": config_class(stock.config_class), "__module__": __name__}
    return type(CLASS_PREFIX + stock.__name__, (stock,), fields)


def class_of(config: Any) -> Any:
    """The class of a model, stock or dropping tokens, by its config."""
    import transformers

    name = config.architectures[0]
    stock = getattr(transformers, name.removeprefix(CLASS_PREFIX))
    return model_class(stock) if name.startswith(CLASS_PREFIX) else stock


def _attach(model: Any, config: Any) -> None:
    settings = dict(getattr(config, CONFIG_FIELD) or {})
    if "selector" not in settings:
        raise SuiteError("the config of a model that drops tokens names no selector", "save the model again")
    attach(model, selector_of(settings.pop("selector"))(**settings))


def attach(model: nn.Module, selector: Selector) -> TokenPruningEncoder:
    """Let `model` drop the tokens that `selector` does not keep; changes the model, its class and config in place.

    Where it drops tokens already, this selector takes the place of the other one.

    Raises:
        SuiteError: the model is a decoder, or its family's layers cannot drop tokens.
    """
    check_can_drop_tokens(model)
    anatomy, config = anatomy_of(model), cast("Any", model.config)
    selector.check(anatomy, config.max_position_embeddings)
    encoder = token_pruning_encoder(model)
    if encoder is None:
        stack: Any = model.get_submodule(anatomy.encoder)
        encoder = TokenPruningEncoder(stack.layer, selector, scatter=not anatomy.pooled)
        model.set_submodule(anatomy.encoder, encoder)
    encoder.selector = selector
    encoder.train(model.training)
    config._attn_implementation = token_attention.NAME
    _mark(model, {"selector": selector.spec.kind, **selector.settings()})
    return encoder


def check_can_drop_tokens(model: nn.Module) -> None:
    """Raise `SuiteError` where tokens cannot be dropped.

    Decoders, because every later token attends to every earlier one; families whose layers cannot drop tokens.
    """
    anatomy = anatomy_of(model)
    if anatomy.causal or getattr(model.config, "is_decoder", False):
        raise SuiteError(
            f"{type(model).__name__} is a decoder: a token that is dropped is missing to every token generated later",
            "use token methods on encoders such as BERT and RoBERTa",
        )
    if not anatomy.encoder:
        raise SuiteError(
            f"layers of {anatomy.family} cannot drop tokens here", "use BERT or RoBERTa, or a static method"
        )


def _mark(model: nn.Module, selector: dict[str, Any]) -> None:
    """Make a model and its config of these classes, in place, and note its selector."""
    config, stock = cast("Any", model.config), cast("Any", type(model))
    if family_name(config) == config.model_type:
        config.__class__ = config_class(stock.config_class)
        vars(config).pop("model_type", None)  # a config that was read from a file has its own
        model.__class__ = model_class(stock)
    setattr(config, CONFIG_FIELD, selector)
    register()
    write_widths(model)


def install(module: Any) -> None:
    """Register the classes with the auto classes; `module` is `transformers.models.auto.modeling_auto`."""
    from transformers import CONFIG_MAPPING

    for family in FAMILIES:
        stock = CONFIG_MAPPING[family]
        for name in _AUTO:
            auto = getattr(module, name)
            auto.register(config_class(stock), model_class(auto._model_mapping[stock]))
