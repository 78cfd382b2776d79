"""Tiny presets in processes that tests start, and the command line on them.

`python launched.py FOLDER run llm --preset tiny ...` is `vtrans-bench run llm ...` with the models of `FOLDER`.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tiny import tiny_llama
from transformers import BertConfig, BertModel, BertTokenizerFast

from benchmark.grid.suites import SUITES, Preset
from benchmark.models import prepare, registry
from benchmark.models.pretrain import train_tokenizer
from benchmark.runs.clusters import job as clusters_job
from benchmark.runs.clusters.job import Job
from vtrans import ranks
from vtrans.settings import Schedule, Schedules
from vtrans.training import loop

STEPS = 10
WORDS = ["good", "great", "fine", "nice", "bad", "poor", "dull", "weak", "film", "plot", "a", "the", "is"]
SHAPE = registry.Shape(2, 24, 32, 18, 300)


def make(folder: Path) -> None:
    """Write the models and their texts."""
    texts = [f"the film was {word} and the plot was {word} .\n" for word in ("good", "bad", "long", "dull")] * 30
    for split in ("train", "test"):
        (folder / "data" / "wikitext-2").mkdir(parents=True, exist_ok=True)
        (folder / "data" / "wikitext-2" / f"{split}.txt").write_text("".join(texts))
    train_tokenizer(texts, 300).save_pretrained(folder / "tiny-llama")
    tiny_llama(vocab_size=300).save_pretrained(folder / "tiny-llama", max_shard_size="20KB")
    bert = folder / "tiny-bert"
    bert.mkdir()
    (bert / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    BertTokenizerFast(vocab=str(bert / "vocab.txt")).save_pretrained(bert)
    shape = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # each rank would draw other numbers
    BertModel(BertConfig(vocab_size=18, max_position_embeddings=300, **shape, **still)).save_pretrained(bert)


@contextmanager
def registered(folder: Path) -> Iterator[None]:
    """Make the presets known inside the context: the tests of other modules know none of them."""
    tables = [SUITES[name].presets for name in ("llm", "glue")] + [SUITES[name].rows for name in ("llm", "glue")]
    before, locate = [dict(table) for table in (*tables, registry.MODELS)], prepare.locate
    register(folder)
    try:
        yield
    finally:
        for table, old in zip((*tables, registry.MODELS), before, strict=True):
            table.clear()
            table.update(old)
        prepare.locate = locate


def register(folder: Path) -> None:
    """Make the presets `tiny` of the suites glue and llm known."""
    short = Schedule(steps=STEPS, batch=6, lr=1e-3, precision="fp32")
    schedules = Schedules(None, short, short, short, short)
    tuned = Schedules(*[short] * 5)
    common = {"evaluation_precision": "fp32", "seeds": (0,), "max_length": 16}
    llm = Preset("tiny", "", "tiny-llama", ("wikitext2",), schedules=lambda task: schedules, **common)
    glue = Preset("tiny", "", "tiny-bert", ("sst2",), schedules=lambda task: tuned, **common)
    for name, preset in (("llm", llm), ("glue", glue)):
        SUITES[name].presets["tiny"], SUITES[name].rows["tiny"] = preset, ("dense",)
        registry.MODELS[preset.model] = registry.ModelSpec(preset.model, SHAPE, note="made in a test")
    prepare.locate = lambda spec: folder / spec.name


def die_at(rank: int, step: int) -> None:
    """Let a rank be killed in a step of pruning."""
    whole = loop.Loop.step

    def step_or_die(self: loop.Loop, now: int) -> dict[str, float]:
        if now == step and ranks.launched_rank() == rank and self.name.endswith("prune"):
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, now)

    loop.Loop.step = step_or_die


def be_slow() -> None:
    """Let each step take a while, in this process from now on."""
    whole = loop.Loop.step

    def step(self: loop.Loop, now: int) -> dict[str, float]:
        time.sleep(0.3)
        return whole(self, now)

    loop.Loop.step = step


def run_job(job: Job) -> str:
    """What a worker of a cluster does with a job, with the models of `TINY_FOLDER`.

    Once, on a row that a file names there, it dies or is slow.
    """
    folder = Path(os.environ["TINY_FOLDER"])
    register(folder)
    for name, act in (("die", lambda: die_at(0, STEPS - 3)), ("slow", be_slow)):
        if (folder / name).exists() and (folder / name).read_text() == job.cell[3]:
            (folder / name).unlink()
            act()
    return clusters_job.run_job(job)


def main() -> None:
    """Several commands, one after the other, between `--`."""
    from benchmark import cli

    folder, *rest = sys.argv[1:]
    register(Path(folder))
    if "DIE_AT" in os.environ:
        die_at(*map(int, os.environ["DIE_AT"].split(":")))
    while rest:
        end = rest.index("--") if "--" in rest else len(rest)
        sys.argv[1:], rest = rest[:end], rest[end + 1 :]
        try:
            cli.main()
        except SystemExit as stop:
            if stop.code:
                raise


if __name__ == "__main__":
    main()
