"""Models and rows that the measurements are taken on: made here, so that nothing has to be installed or trained."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Examples
    from vtrans.methods.base import CompressionState
    from vtrans.teaching.cache import TeacherCache

BATCH, LENGTH = 32, 32


def minilm() -> "nn.Module":
    """A classifier of MiniLM-L6's shape with random weights."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    shape = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    found: nn.Module = BertForSequenceClassification(BertConfig(**shape))
    return found


def cut(state: "CompressionState", sparsity: float) -> "nn.Module":
    """Cut the state's model to a sparsity of the encoder, the same share in each layer."""
    from baselines.one_shot import Choose
    from vtrans.methods.stages import Materialise
    from vtrans.settings import Budget

    Choose(Budget(sparsity), "random").run(state)
    Materialise().run(state)
    return state.model


def new_state(examples: "Examples", cache: "TeacherCache | None" = None) -> "CompressionState":
    """A state on the model above, which is its teacher too."""
    from vtrans.methods.base import CompressionState
    from vtrans.teaching.teacher import Teacher
    from vtrans.training.loop import RunContext

    return CompressionState(Teacher(minilm()), examples, 0, RunContext(teacher_cache=cache))


def training_precision() -> str:
    """What `auto` means on this machine."""
    from benchmark.common.device import device
    from vtrans.training.precision import resolve

    return resolve("auto", device())


def fixed_examples() -> "Examples":
    """Random rows of one length."""
    import torch

    from vtrans.data.examples import Examples

    ids = torch.randint(1000, 30000, (64 * BATCH, LENGTH)).tolist()
    return Examples(ids, [[0] * LENGTH] * len(ids), torch.randint(2, (len(ids),)), 0)


def varied_examples(rows: int = 256) -> "Examples":
    """Random rows of 8 to 48 tokens, as sentences vary."""
    import torch

    from vtrans.data.examples import Examples

    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(8, 49, (rows,), generator=generator).tolist()
    ids = [torch.randint(1000, 20000, (n,), generator=generator).tolist() for n in lengths]
    return Examples(ids, [[0] * n for n in lengths], torch.zeros(rows, dtype=torch.long), 0)
