"""Tiny models and data, made here: nothing is downloaded."""

import torch
from transformers import BertConfig, BertForSequenceClassification

from vtrans.examples import Examples

torch.set_num_threads(1)  # the number of threads changes the last bits


def tiny_bert(attention: str = "sdpa", seed: int = 0, outputs: int = 2, **widths: int) -> BertForSequenceClassification:
    """A BERT of three layers with weights far from their start, so that every path matters."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=60,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=48,
        num_labels=outputs,
        attn_implementation=attention,
    )
    config.update(widths)
    model = BertForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


FAMILIES = {"bert": tiny_bert}  # a family joins all property tests with one line


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
