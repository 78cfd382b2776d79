"""Whether a rank has the memory that a model in shards needs, by its config."""

import os
from pathlib import Path
from typing import Any

from benchmark.common.hub import refuse_offline
from benchmark.grid.sharded import Need
from benchmark.models.registry import GIB, MODELS, Shape
from vtrans.anatomy import family_of
from vtrans.errors import SuiteError
from vtrans.settings import Sharding


def shape_of(config: Any) -> Shape:
    """The shape of a decoder's config."""
    hidden, heads = config.hidden_size, config.num_attention_heads
    return Shape(
        layers=config.num_hidden_layers,
        hidden=hidden,
        ffn=getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * hidden,
        vocabulary=config.vocab_size,
        positions=getattr(config, "n_positions", 0) if config.model_type == "gpt2" else 0,
        shared=(getattr(config, "num_key_value_heads", None) or heads) / heads,
        ups=family_of(config).ups,
        decoder=True,
        tied=bool(getattr(config, "tie_word_embeddings", False)),
    )


def available() -> float:
    """Free bytes on the rank's GPU, or its share of the host's memory."""
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.mem_get_info()[0])
    return _host() / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _host() -> float:
    """Free bytes of the host's memory; all of it where the system does not tell how much is free."""
    known = Path("/proc/meminfo")
    if not known.exists():
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    lines = dict(line.split(":", 1) for line in known.read_text().splitlines())
    return float(lines["MemAvailable"].split()[0]) * 1024


def check_memory_fits(need: Need, free: float, sharding: Sharding) -> None:
    """Raise `SuiteError` where a rank has too little memory, and say what would need less."""
    if need.total <= free:
        return
    ways = ["more ranks" if sharding.stage == 3 else "--zero-stage 3"]
    ways += [] if sharding.offload else ["--offload cpu or FOLDER"]
    ways += [] if sharding.checkpointing else ["--gradient-checkpointing"]
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
