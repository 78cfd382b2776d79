"""What to deploy on a CPU: models in every runtime, fp32 and int8, timed in turns and evaluated."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmark.commands.user_model import check_finetuned, check_head, cut_at, find_model
from benchmark.common.checkpoints import check_positions, load_tokenizer
from benchmark.common.files import check_writable, write_atomically
from benchmark.grid.suites import get_preset, suite_of
from benchmark.tasks.kind import kind_of
from benchmark.tasks.metrics import digits
from benchmark.tasks.registry import Task
from vtrans.errors import SuiteError

if TYPE_CHECKING:
    from torch import nn

    from vtrans.data.examples import Examples

BATCHES = (1, 32)


@dataclass(frozen=True)
class DeployedRequest:
    """What `vtrans-bench deployed` was asked for; see its help."""

    models: tuple[str, ...]
    task: Task
    out: Path
    preset: str = "quick"
    data_dir: Path | None = None
    compiled: bool = True
    length: int = 0


def shared_length(request: DeployedRequest, sources: Sequence[Path]) -> int:
    """Tokens that texts are cut at for all models, which are timed on the same ones.

    Raises:
        SuiteError: `compress` cut them differently for two of the models.
    """
    usual = get_preset(request.preset, suite_of(request.task)).max_length
    found = sorted({length for source in sources if (length := cut_at(source, request.length, 0))})
    if len(found) > 1:
        raise SuiteError(
            f"texts were cut at {' and '.join(map(str, found))} tokens for these models", "give --max-length"
        )
    return found[0] if found else usual


def measure_deployed(request: DeployedRequest) -> list[Path]:
    """Time and evaluate all forms of all models; write `OUT.json` and `OUT.md`.

    Raises:
        SuiteError: bad input, or a package that is missing.
    """
    from benchmark.measure.deployed import FORMS, forms, in_turns
    from vtrans.deploy.export import check_format
    from vtrans.saving.pruned import load_pruned

    check_format("openvino", int8=True)
    check_format("onnx")
    names = names_of(request.models)
    check_writable(request.out.parent)
    if taken := next((path for path in outputs(request.out) if path.is_dir()), None):
        raise SuiteError(f"{taken} is a folder", "name another --out")
    task = request.task
    sources = [find_model(model, pruned=True) for model in request.models]
    for source in sources:
        check_head(source, task)
    kind, length = kind_of(task), shared_length(request, sources)
    data = kind.load(task, request.data_dir, "validation")
    rows, every, examples = list[dict[str, Any]](), dict[str, "nn.Module"](), None
    with TemporaryDirectory(prefix="vtrans-deployed-") as folder:
        for name, source in zip(names, sources, strict=True):
            model, tokenizer = load_pruned(source), load_tokenizer(source)
            check_finetuned(source, task, model)
            check_positions(source, length)
            train = kind.encode_for(source, task, data.train, tokenizer, length)
            examples = kind.encode_for(source, task, data.evaluation, tokenizer, length)
            found = forms(model, Path(folder) / name, train, request.compiled)
            rows += [_row(name, form, each, model, task, examples, Path(folder) / name) for form, each in found.items()]
            every |= {f"{name}/{form}": each for form, each in found.items()}
        assert examples is not None, "there is one model at least"
        times = [in_turns(every, examples, batch) for batch in BATCHES]
    for row in rows:
        row["latency"] = [found[f"{row['model']}/{row['form']}"] for found in times]
    rows.sort(key=lambda row: (names.index(row["model"]), FORMS.index(row["form"])))
    return write(request, rows, len(examples))


def outputs(out: Path) -> list[Path]:
    """The files of a record and its table."""
    return [out.with_name(out.name + suffix) for suffix in (".json", ".md")]


def names_of(models: Sequence[str]) -> list[str]:
    """What the models are called: the last part of their paths.

    Raises:
        SuiteError: two are called the same.
    """
    names = [Path(model).name for model in models]
    if len(set(names)) < len(names):
        raise SuiteError(f"two of the models are called {max(names, key=names.count)}", "rename a folder")
    return names


def _row(
    name: str, form: str, module: "nn.Module", model: "nn.Module", task: Task, examples: "Examples", folder: Path
) -> dict[str, Any]:
    from benchmark.measure.deployed import megabytes

    metrics = kind_of(task).evaluate(task, module, examples).metrics
    return {"model": name, "form": form, "megabytes": megabytes(form, model, folder), "metrics": metrics}


def write(request: DeployedRequest, rows: list[dict[str, Any]], count: int) -> list[Path]:
    """The record and its table."""
    from benchmark.records.provenance import now, provenance

    source = provenance(now())
    found = {"task": request.task.name, "rows": rows, "n": count, "provenance": source.model_dump(mode="json")}
    paths = outputs(request.out)
    write_atomically(paths[0], json.dumps(found, indent=1) + "\n")
    write_atomically(paths[1], table(found))
    return paths


def table(found: Mapping[str, Any]) -> str:
    """Markdown of a record: each form with its size, score and how many times as fast it is as the first row."""
    from tabulate import tabulate

    rows, hardware = found["rows"], found["provenance"]["hardware"]
    first, metric = rows[0], next(iter(rows[0]["metrics"]))
    heads = ["model", "form", "MB", metric, *(f"batch {each['batch']}: ms" for each in first["latency"])]
    heads += [f"batch {each['batch']}: ×" for each in first["latency"]]
    lines = [
        [row["model"], row["form"], f"{row['megabytes']:.1f}", f"{row['metrics'][metric]:.{digits(metric)}f}"]
        + [f"{each['ms'][1]:.2f}" for each in row["latency"]]
        + ["{1:.1f} [{0:.1f}, {2:.1f}]".format(*each["speedup"]) for each in row["latency"]]
        for row in rows
    ]
    about = (
        f"{found['task']}, n = {found['n']:,}. {hardware['processor']}, {hardware['capability']}, "
        f"{hardware['threads']} threads. ×: how many times as fast as {first['model']} in {first['form']}, median and "
        "quartiles over 30 batches of validation rows, all forms in turns, batches padded to their longest row."
    )
    return (
        f"# What to deploy on a CPU\n\n{about}\n\n{tabulate(lines, heads, tablefmt='github', disable_numparse=True)}\n"
    )
