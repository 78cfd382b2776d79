"""Surgery on the files of a model of LLaMA-2-7B's shape, with its time and memory: `python -m ... [FOLDER]`.

The weights are random, in bf16, in files of a gigabyte; 13.5 GB of disk are needed, and half of that for the result.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.overhead.sharded import high, reset, resident

SPARSITY, LIMIT = 0.5, 3e9  # of the layers' parameters; bytes that cutting may take
TOKENS = 16  # of the forward pass
PER_FILE = 2  # layers


def make(folder: Path) -> None:
    """Write the dense model, a few layers at a time, as `save_pretrained` would lay it out."""
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig

    from vtrans.saving.layerwise import blank

    folder.mkdir(parents=True, exist_ok=True)
    config = LlamaConfig(architectures=["LlamaForCausalLM"], dtype="bfloat16")
    config.save_pretrained(folder)
    torch.manual_seed(0)
    shapes = {name: tensor.shape for name, tensor in blank(folder).state_dict().items()}
    files: dict[int, list[str]] = {}
    for name in shapes:
        layer = int(name.split(".")[2]) if ".layers." in name else -PER_FILE
        files.setdefault(layer // PER_FILE, []).append(name)
    places: dict[str, str] = {}
    for number, names in enumerate(files.values(), 1):
        path = folder / f"model-{number:05}-of-{len(files):05}.safetensors"
        tensors = {n: torch.empty(shapes[n], dtype=torch.bfloat16).normal_(0, 0.02) for n in names}
        save_file(tensors | {n: torch.ones_like(t) for n, t in tensors.items() if "norm" in n}, path)
        places |= dict.fromkeys(names, path.name)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def decision(folder: Path) -> Any:
    """Random hidden units, heads and FFN units to keep, so that half of the layers' parameters are left."""
    import torch

    from vtrans.anatomy import anatomy_of
    from vtrans.pruning.masks import Masks
    from vtrans.saving.layerwise import blank

    anatomy = anatomy_of(blank(folder))
    generator = torch.Generator().manual_seed(0)
    share = (1 - SPARSITY) ** 0.5  # of the hidden width, and of what each layer has

    def keep(count: int) -> "torch.Tensor":
        """So many of them."""
        kept: torch.Tensor = torch.randperm(count, generator=generator) < round(share * count)
        return kept.float()

    heads, ffn = ([keep(n) for n in sizes] for sizes in (anatomy.heads, anatomy.ffn))
    layers = [torch.ones(())] * len(anatomy.blocks)
    return Masks.of(keep(anatomy.hidden), heads, ffn, layers, layers)


def cut(folder: Path) -> dict[str, float]:
    """Cut the files: seconds, and bytes more than before at most."""
    from vtrans.saving.layerwise import materialise_files

    masks = decision(folder / "dense")
    return measured(lambda: materialise_files(folder / "dense", masks, folder / "small"))


def forward(folder: Path) -> dict[str, float]:
    """Load the smaller model and run it once."""
    import torch

    from vtrans.saving.pruned import load_pruned

    found: dict[str, float] = {}

    @torch.no_grad()
    def run() -> None:
        """Load it and look at its logits."""
        model = load_pruned(folder / "small")
        found["parameters"] = sum(p.numel() for p in model.parameters())
        began = time.monotonic()
        logits = model(torch.arange(5, 5 + TOKENS)[None]).logits
        found["forward_seconds"] = round(time.monotonic() - began, 1)
        assert logits.shape[:2] == (1, TOKENS) and bool(logits.isfinite().all())

    return measured(run) | found


def measured(act: Callable[[], object]) -> dict[str, float]:
    """Seconds of a call, and the bytes that the process has more in it than before, at most."""
    before, began = resident(), time.monotonic()
    reset()
    act()
    return {"seconds": round(time.monotonic() - began, 1), "peak_bytes": high() - before}


def main(folder: Path, results: Path) -> None:
    """Make the model, then cut, load and run it, each in a process of its own; write what was measured."""
    from benchmark.overhead.ratios import write_facts
    from benchmark.records.provenance import now

    started, began = now(), time.monotonic()
    found: dict[str, Any] = {}
    if not (folder / "dense" / "model.safetensors.index.json").exists():
        make(folder / "dense")
        found["making_seconds"] = round(time.monotonic() - began, 1)
    for step in ("cut", "forward"):
        command = [sys.executable, "-m", "benchmark.overhead.surgery", str(folder), step]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[step] = json.loads(ended.stdout.splitlines()[-1])
    found["kept"] = found["cut"]["peak_bytes"] < LIMIT
    found["bytes"] = {part: sum(f.stat().st_size for f in (folder / part).glob("*.safetensors")) for part in PARTS}
    facts = {"shape": "LLaMA-2-7B, random bf16 weights", "sparsity": SPARSITY}
    write_facts(results / "bench" / "surgery-7b.json", started, facts | found)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


PARTS = ("dense", "small")

if __name__ == "__main__":
    if sys.argv[2:]:
        sys.stdout.write(json.dumps({"cut": cut, "forward": forward}[sys.argv[2]](Path(sys.argv[1]))) + "\n")
    elif sys.argv[1:]:
        main(Path(sys.argv[1]), Path("results"))
    else:
        with tempfile.TemporaryDirectory() as name:
            main(Path(name), Path("results"))
