"""Tiny models and data, made here: nothing is downloaded."""

from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
)

from vtrans.anatomy import anatomy_of
from vtrans.data.examples import Examples
from vtrans.pruning.gates import GateSet, VariationalGate
from vtrans.pruning.masks import Masks
from vtrans.tokens import Predictor, Retention, Threshold, attach, token_pruning_encoder

torch.set_num_threads(1)  # the number of threads changes the last bits


def tiny_bert(attention: str = "sdpa", seed: int = 0, outputs: int = 2, **widths: int) -> BertForSequenceClassification:
    """A BERT of three layers with weights far from their start, so that every path matters."""
    return _tiny(BertForSequenceClassification, BertConfig, attention, seed, outputs, **widths)


def _tiny(kind: Any, config_of: Any, attention: str, seed: int, outputs: int, **more: int) -> Any:
    torch.manual_seed(seed)
    config = config_of(
        vocab_size=60,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=48,
        num_labels=outputs,
        attn_implementation=attention,
    )
    config.update(more)
    return _shaken(kind(config))


def _shaken(model: Any) -> Any:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def tiny_roberta(attention: str = "sdpa", seed: int = 0, outputs: int = 2, **widths: int) -> Any:
    """A RoBERTa like it, whose classifier reads the first token by itself."""
    return _tiny(RobertaForSequenceClassification, RobertaConfig, attention, seed, outputs, pad_token_id=1, **widths)


def tiny_bert_mlm(attention: str = "sdpa", seed: int = 0, **widths: int) -> Any:
    """The BERT with an MLM head, tied to the embeddings."""
    return _tiny(BertForMaskedLM, BertConfig, attention, seed, 2, **widths)


def tiny_roberta_mlm(attention: str = "sdpa", seed: int = 0, **widths: int) -> Any:
    """The RoBERTa with an MLM head."""
    return _tiny(RobertaForMaskedLM, RobertaConfig, attention, seed, 2, pad_token_id=1, **widths)


def tiny_gpt2(attention: str = "sdpa", seed: int = 0, **widths: int) -> Any:
    """A GPT-2 language model, its output head tied to the embeddings."""
    torch.manual_seed(seed)
    shape = {"n_embd": 24, "n_layer": 3, "n_head": 4, "n_positions": 48, "vocab_size": 60} | widths
    config = GPT2Config(**shape, bos_token_id=1, eos_token_id=2, attn_implementation=attention)
    return _shaken(GPT2LMHeadModel(config))


def tiny_llama(attention: str = "sdpa", seed: int = 0, **widths: int) -> Any:
    """A LLaMA language model with four query heads on two key-value heads."""
    return _decoder(LlamaForCausalLM, LlamaConfig, attention, seed, **widths)


def tiny_mistral(attention: str = "sdpa", seed: int = 0, **widths: int) -> Any:
    """A Mistral like it, whose window is shorter than the sequences."""
    return _decoder(MistralForCausalLM, MistralConfig, attention, seed, sliding_window=4, **widths)


def tiny_qwen2(attention: str = "sdpa", seed: int = 0, **widths: int) -> Any:
    """A Qwen2 like it, with biases of queries, keys and values."""
    return _decoder(Qwen2ForCausalLM, Qwen2Config, attention, seed, **widths)


def tiny_qwen3(attention: str = "sdpa", seed: int = 0, **widths: int) -> Any:
    """A Qwen3 like it, with norms inside its heads, which are wider than hidden units over heads."""
    return _decoder(Qwen3ForCausalLM, Qwen3Config, attention, seed, head_dim=8, **widths)


def _decoder(kind: Any, config_of: Any, attention: str, seed: int, **more: Any) -> Any:
    torch.manual_seed(seed)
    shape = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
    shape |= {"intermediate_size": 32, "vocab_size": 60, "max_position_embeddings": 48} | more
    return _shaken(kind(config_of(**shape, attn_implementation=attention)))


def tiny_distilbert(attention: str = "sdpa", seed: int = 0, outputs: int = 2, **widths: int) -> Any:
    """A DistilBERT like the BERT."""
    return _tiny(
        DistilBertForSequenceClassification, DistilBertConfig, attention, seed, outputs, hidden_dim=32, **widths
    )


def tiny_modernbert(attention: str = "sdpa", seed: int = 0, outputs: int = 2, **widths: int) -> Any:
    """A ModernBERT like it, with layers of both kinds of attention."""
    return _modern(ModernBertForSequenceClassification, attention, seed, num_labels=outputs, **widths)


def tiny_distilbert_mlm(attention: str = "sdpa", seed: int = 0, **widths: int) -> Any:
    """The DistilBERT with an MLM head."""
    return _tiny(DistilBertForMaskedLM, DistilBertConfig, attention, seed, 2, hidden_dim=32, **widths)


def tiny_modernbert_mlm(attention: str = "sdpa", seed: int = 0, **widths: int) -> Any:
    """The ModernBERT with an MLM head."""
    return _modern(ModernBertForMaskedLM, attention, seed, **widths)


def _modern(kind: Any, attention: str, seed: int, **more: Any) -> Any:
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    local = {"global_attn_every_n_layers": 2, "local_attention": 6, "num_key_value_heads": None}
    config = ModernBertConfig(
        vocab_size=60,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=48,
        attn_implementation=attention,
        **special,
        **{k: v for k, v in local.items() if v is not None},
        **more,
    )
    torch.manual_seed(seed)
    return _shaken(kind(config))


# A family joins all property tests with one line.
ENCODERS = {
    "bert": tiny_bert,
    "roberta": tiny_roberta,
    "distilbert": tiny_distilbert,
    "modernbert": tiny_modernbert,
}
MASKED_LM = {
    "bert mlm": tiny_bert_mlm,
    "roberta mlm": tiny_roberta_mlm,
    "distilbert mlm": tiny_distilbert_mlm,
    "modernbert mlm": tiny_modernbert_mlm,
}
DECODERS = {
    "gpt2": tiny_gpt2,
    "llama": tiny_llama,
    "mistral": tiny_mistral,
    "qwen2": tiny_qwen2,
    "qwen3": tiny_qwen3,
}
FAMILIES = ENCODERS | MASKED_LM | DECODERS
TOKEN_FAMILIES = {name: ENCODERS[name] for name in ("bert", "roberta")}  # whose layers can drop tokens


def tiny_examples(rows: int = 48, seed: int = 0, vocabulary: int = 60) -> Examples:
    """Random sequences whose label says which of two tokens they hold."""
    generator = torch.Generator().manual_seed(seed)
    ids, labels = [], []
    for _ in range(rows):
        length = int(torch.randint(4, 12, (), generator=generator))
        label = int(torch.randint(2, (), generator=generator))
        tokens = torch.randint(10, vocabulary, (length,), generator=generator).tolist()
        ids.append([2, 5 + label, *tokens])
        labels.append(label)
    return Examples(ids, [[0] * len(i) for i in ids], torch.tensor(labels), 0)


def inputs(batch: int = 3, length: int = 9, seed: int = 0, vocabulary: int = 60) -> dict[str, torch.Tensor]:
    """A padded batch."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[1:, length - 3 :] = 0
    return {"input_ids": torch.randint(5, vocabulary, (batch, length), generator=generator), "attention_mask": mask}


def random_decision(model, seed: int, log_alpha: float) -> Masks:
    """A hard decision that keeps some units of each site."""
    torch.manual_seed(seed)
    return GateSet(anatomy_of(model), lambda site, n: VariationalGate(n, log_alpha, jitter=2.0)).decide()


def dropping(model, kind: str, seed: int = 0):
    """The model with a selector that drops about half of the tokens on its way."""
    torch.manual_seed(seed)
    anatomy = anatomy_of(model)
    if kind == "retention":
        lengths = sorted(torch.randint(1, 10, (len(anatomy.blocks),)).tolist(), reverse=True)
        attach(model, Retention(lengths))
        return model.eval()
    if kind == "threshold":
        attach(model, Threshold((0.05 + 0.1 * torch.rand(len(anatomy.blocks))).tolist()))  # sequences of about ten
        return model.eval()
    selector = Predictor.of(anatomy)
    with torch.no_grad():
        for mlp in selector.mlps.values():
            mlp[-1].weight.normal_(0, 1)
            mlp[-1].bias.zero_()
    attach(model, selector)
    return model.eval()


def token_lengths(model):
    """Tokens of each sample in the last gathered pass, `(batch, layers, 3)`."""
    return token_pruning_encoder(model).record.lengths
