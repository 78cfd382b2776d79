"""A model that a package ships with quantised weights, as a folder of full ones."""

import importlib.util
import json
from pathlib import Path

from benchmark.common.checkpoints import load_model
from benchmark.common.digests import check_digest, package_folder
from benchmark.common.files import write_atomically
from benchmark.models.registry import ModelSpec
from vtrans.errors import SuiteError


def dequantize(spec: ModelSpec, folder: Path) -> None:
    """Write the model and tokenizer of a GGUF file to `folder`, weights in fp32.

    Raises:
        SuiteError: the package or what reads such files is not installed, or the file is not the pinned one.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from vtrans.saving.pruned import quiet

    source = package_folder(spec.package, spec.install)
    check_digest(source / spec.gguf, spec.sha256)
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise SuiteError(f"package {missing[0]} is not installed, which reads GGUF files", f"run `{spec.install}`")
    model = load_model(AutoModelForCausalLM, source, gguf_file=spec.gguf)
    # Without these two it would be saved as a quantised model, which it no longer is.
    del model.config.quantization_config
    model.hf_quantizer = None
    with quiet():
        model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=spec.gguf, local_files_only=True).save_pretrained(folder)
    write_atomically(folder / "made.json", json.dumps({"from": spec.gguf, "sha256": spec.sha256}) + "\n")
