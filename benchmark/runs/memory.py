"""How much memory a rank needs to train gates on a sharded model: an estimate, made before anything is loaded."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.common.hub import refuse_offline
from benchmark.models.registry import ACTIVATIONS, GIB, MODELS
from vtrans.anatomy import family_of
from vtrans.errors import SuiteError
from vtrans.training.engine import Sharding


@dataclass(frozen=True)
class Need:
    """Bytes on the device of one rank, by what they are for."""

    parts: dict[str, float]

    @property
    def total(self) -> float:
        """All together."""
        return sum(self.parts.values())

    def lines(self) -> list[str]:
        """One line each, in GiB."""
        rows = [*self.parts.items(), ("total", self.total)]
        return [f"{name:12} {size / GIB:8.2f} GiB" for name, size in rows]


def estimate(
    config: Any, sharding: Sharding, ranks: int, batch: int, length: int, width: int = 2, on_host: bool = False
) -> Need:
    """Memory of a rank that computes `batch` sequences of `length` tokens, weights of `width` bytes.

    Weights are whole under stage 2, a share under stage 3, where two layers at a time and the embeddings are whole
    besides, and none of that share with offload, unless the ranks run on the host, where it goes to. Activations are
    those of all layers, or with checkpointing the input of each and the inside of one. Logits count three times in
    fp32: themselves, log-softmax and gradient.
    """
    hidden, depth, vocab_size = config.hidden_size, config.num_hidden_layers, config.vocab_size
    ffn = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * hidden
    layer, tables = layer_parameters(config, hidden, ffn), vocab_size * hidden
    heads = 1 if getattr(config, "tie_word_embeddings", False) else 2
    everything = depth * layer + heads * tables
    if sharding.stage == 2:
        weights: float = everything * width
    else:
        share = 0 if sharding.offload and not on_host else everything / ranks
        weights = (share + 2 * layer + tables) * width
    tokens = batch * length
    inside = tokens * (ACTIVATIONS * hidden + 3 * ffn) * width
    kept = depth * tokens * hidden * width + inside if sharding.checkpointing else depth * inside
    gates = (hidden + depth * (config.num_attention_heads + ffn)) * 4 * 8  # value, scale, gradients and Adam's two
    return Need(
        {"weights": weights, "activations": kept, "logits": 3.0 * tokens * vocab_size * 4, "gates": float(gates)}
    )


def layer_parameters(config: Any, hidden: int, ffn: int) -> int:
    """Weights of one layer."""
    groups = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    attention = hidden * hidden * (2 + 2 * groups / config.num_attention_heads)
    return int(attention + (1 + family_of(config).ups) * hidden * ffn)


def available() -> float:
    """Free bytes on the rank's GPU, or its share of the host's memory."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.mem_get_info()[0])
    found: float = psutil.virtual_memory().available / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return found


def check_memory_fits(need: Need, free: float, sharding: Sharding) -> None:
    """Raise `SuiteError` where a rank has too little memory, and say what would need less."""
    if need.total <= free:
        return
    ways = ["more ranks" if sharding.stage == 3 else "--stage 3"]
    ways += [] if sharding.offload else ["--offload"]
    ways += [] if sharding.checkpointing else ["--checkpointing"]
    raise SuiteError(
        f"a rank needs {need.total / GIB:.1f} GiB and has {free / GIB:.1f}", f"try {', '.join(ways)} or a smaller batch"
    )


def read_config(model: Path) -> Any:
    """The config of a model folder.

    Raises:
        SuiteError: it is missing or damaged, or that of no decoder.
    """
    from transformers import AutoConfig

    try:
        return _decoder(AutoConfig.from_pretrained(model, local_files_only=True), str(model))
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise SuiteError(f"{model} has no config.json that can be read ({first})", "save the model again") from None


def _decoder(config: Any, name: str) -> Any:
    if not family_of(config).causal:
        raise SuiteError(f"{name} is of the family {config.model_type!r}, no decoder", "name a language model")
    return config


def config_of_model(name: str) -> Any:
    """The config of a folder, a model of the suite or a hub id; LLaMA-2-7B's, which the hub gates, is known here.

    Raises:
        SuiteError: the hub is out of reach, or the model is none that the estimate is for.
    """
    from transformers import AutoConfig, LlamaConfig

    if Path(name).is_dir():
        return read_config(Path(name))
    if name == "llama-2-7b":
        return LlamaConfig()  # its defaults are the shape of LLaMA-7B: 32 layers, 4,096, FFN 11,008, 32,000 vocab_size
    spec = MODELS.get(name)
    if spec and not spec.hub:
        raise SuiteError(f"{name} fits any machine, and comes from no hub", "name a folder, a hub id or llama-2-7b")
    remedy = "give a folder, or llama-2-7b"
    repository, revision = (spec.hub, spec.revision) if spec else (name, "")
    refuse_offline(f"config of {name}", remedy, repository=repository, revision=revision)
    try:
        found = AutoConfig.from_pretrained(spec.hub if spec else name, revision=spec.revision if spec else None)
    except Exception as error:  # the hub client raises its own kinds, requests' and OSError
        raise SuiteError(f"config of {name} cannot be fetched ({type(error).__name__})", remedy) from None
    return _decoder(found, name)
