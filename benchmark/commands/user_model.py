"""A model of the user's own: found, checked, and its successor put into place."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.common.files import check_writable
from benchmark.common.hub import refuse_offline
from benchmark.models.registry import MODELS, locate
from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import TASKS, Task
from vtrans.errors import SuiteError
from vtrans.locks import locked

if TYPE_CHECKING:
    from torch import nn


LOCK = "vtrans-bench.lock"
DEPTHS = ("num_hidden_layers", "n_layer", "n_layers")  # what configs of families call their number of layers


def find_model(name: str, pruned: bool = False) -> Path:
    """Folder of a model given as a folder, which may be `pruned`, a name of the registry or a hub id.

    Raises:
        SuiteError: there is no such model, or the folder has no safetensors weights.
    """
    if not name:
        raise SuiteError("--model is empty", f"give a folder, a hub id or one of: {', '.join(MODELS)}")
    if Path(name).is_dir():
        return check_model(Path(name), pruned)
    if name in MODELS:
        return locate(MODELS[name])
    from huggingface_hub import snapshot_download

    remedy = f"give a folder, a hub id that is in reach, or one of: {', '.join(MODELS)}"
    refuse_offline(f"model {name!r} is no folder, and", remedy, repository=name)
    try:
        return check_model(Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "model*.safetensors"])))
    except SuiteError:
        raise
    except Exception as error:  # the hub client raises its own kinds, requests' and OSError
        raise SuiteError(
            f"model {name!r} is no folder and cannot be fetched ({type(error).__name__})", remedy
        ) from None


def check_model(folder: Path, pruned: bool = False) -> Path:
    """Raise `SuiteError` where a folder lacks what a safetensors model needs, or is pruned and may not be."""
    for name in ("config.json", "model*.safetensors"):
        if not any(folder.glob(name)):
            raise SuiteError(f"{folder} has no {name}", "save the model there with save_pretrained")
    check_family(folder / "config.json")
    if not pruned and is_pruned_folder(folder):
        raise SuiteError(f"{folder} is pruned already", "compress the dense model, to the sparsity you want")
    return folder


def is_pruned_folder(folder: Path) -> bool:
    """Whether a folder's config is of a model with pruned units or dropped tokens."""
    from vtrans.dropping import MODEL_TYPE_SUFFIX

    content = json.loads((folder / "config.json").read_text())
    return "per_layer_config" in content or content["model_type"].endswith(MODEL_TYPE_SUFFIX)


def check_family(config: Path) -> None:
    """Raise `SuiteError` where a config is damaged or of a family without an anatomy."""
    from vtrans.anatomy import families, no_anatomy
    from vtrans.dropping import MODEL_TYPE_SUFFIX

    try:
        content = json.loads(config.read_text())
        kind, classes = content["model_type"], content.get("architectures") or []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise SuiteError(f"{config} names no model_type", "save the model again with save_pretrained") from None
    if not isinstance(classes, list) or not all(isinstance(each, str) for each in classes):
        raise SuiteError(f"architectures in {config} are no list of names", "save the model again with save_pretrained")
    if str(kind).removesuffix(MODEL_TYPE_SUFFIX) not in families():
        raise no_anatomy(kind)
    _check_fields(config, content)


def _check_fields(config: Path, content: dict[str, Any]) -> None:
    """Raise `SuiteError` where classes are not numbered names, or layers no number."""
    names, count = content.get("id2label") or {}, content.get("num_labels") or 2
    numbered = isinstance(names, dict) and all(str(key).isdecimal() for key in names)
    if not numbered or type(count) is not int:
        raise SuiteError(f"the classes in {config} are no numbered names", "save the model again with save_pretrained")
    if not all(isinstance(content.get(name) or 0, int) for name in DEPTHS):
        raise SuiteError(f"the layers in {config} are no number", "save the model again with save_pretrained")


def cut_at(source: Path, asked: int, usual: int) -> int:
    """Tokens that a model's texts are cut at: as asked, else as `compress` cut them for it, else as usual."""
    if asked:
        return asked
    try:
        found = json.loads((source / "report.json").read_text(encoding="utf-8"))["report"]["max_length"]
    except (OSError, ValueError, KeyError, TypeError):  # not of `compress`, or of one that did not say it
        return usual
    return found if type(found) is int and found > 0 else usual


def check_model_class(model: "nn.Module", task: Task) -> None:
    """Raise `SuiteError` where a model has no anatomy, decodes where it should not, or does not where it should.

    A decoder that was saved with a head for sequences is a classifier.
    """
    from vtrans.anatomy import anatomy_of

    config: Any = model.config
    causal = getattr(config, "is_decoder", False) or anatomy_of(model).causal
    classifies = any("SequenceClassification" in name for name in config.architectures or [])
    if causal and classifies and getattr(config, "pad_token_id", None) is None:
        raise SuiteError("the model has no pad token, which batches of a classifier need", "set config.pad_token_id")
    decodes = causal and not classifies
    if decodes != kind_of(task).decodes:
        fitting = [name for name, each in TASKS.items() if decodes == kind_of(each).decodes]
        what = "a decoder" if decodes else "a classifier" if causal else "an encoder"
        raise SuiteError(
            f"the model is {what}, which {task.name} is not for",
            f"choose one of: {', '.join(fitting)}",
        )


def check_out(out: Path, source: Path) -> None:
    """Raise `SuiteError` where writing to `out` is impossible or would destroy what is there.

    A result that a crash left half in place may lie there, beside the work that it comes from: see `check_half`.
    """
    if any(out.glob("model*.safetensors")):
        which = "is the model's own folder" if out.resolve() == source.resolve() else "holds a model already"
        over = f"; {out / 'work'} is of a run that has ended, remove it" if (out / "work").is_dir() else ""
        raise SuiteError(f"{out} {which}", f"name another --out{over}")
    if out.exists() and not out.is_dir():
        raise SuiteError(f"{out} is no folder", "name another --out")
    if (found := _others(out)) and not any(out.glob("work/*/result")):
        raise SuiteError(f"{out} holds {found[0]} already", "name a folder that is empty, or not there yet, with --out")
    if (out / "work").exists() and not (out / "work").is_dir():
        raise SuiteError(f"{out} holds a file called work", "name another --out")
    check_writable(out / "work")


def check_half(out: Path, work: Path) -> None:
    """Raise `SuiteError` where `out` holds half of a result, and `work` is not where it comes from."""
    if (found := _others(out)) and not (work / "result").exists():
        raise SuiteError(
            f"{out} holds {found[0]}, of another command that was ended while it wrote",
            "run that one again, or clear it",
        )


def _others(out: Path) -> list[str]:
    """What a folder holds beside work, and beside what systems put into folders."""
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    return [name for name in names if name not in ("work", "lost+found") and not name.startswith(".")]


@contextmanager
def sole_writer(out: Path, source: Path) -> Iterator[None]:
    """Hold `out` against other processes that would write a model there; folders that stay empty are removed again.

    Raises:
        SuiteError: another process holds it, or has just written a model there; it cannot be written.
    """
    work = out / "work"
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    with ExitStack() as held:
        held.callback(_remove_empty, [work, *new])
        try:
            free = held.enter_context(locked(work, wait=False, name=LOCK))
        except OSError as error:
            raise SuiteError(f"cannot write to {work}: {error.strerror}", "name another --out") from None
        if not free:
            raise SuiteError(f"another process writes to {out}", "wait for it to end, or name another --out")
        held.callback((work / LOCK).unlink, missing_ok=True)
        check_out(out, source)
        yield


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def is_finetuned(source: Path, task: Task, kind: str = "") -> bool:
    """Whether the model in `source`, of the class `kind` or those of its config, has the task's head."""
    config = json.loads((source / "config.json").read_text())
    names = kind or str(config.get("architectures") or "")
    outputs = len(config.get("id2label") or {}) or config.get("num_labels", 2)
    return kind_of(task).has_head(names, outputs, task)


def check_head(source: Path, task: Task, kind: str = "") -> None:
    """Raise `SuiteError` where the model in a folder, of the class `kind` or those of its config, has no such head."""
    if not is_finetuned(source, task, kind):
        raise SuiteError(f"{source} has no head for {task.name}", "`compress` fine-tunes it, or name its own task")


def check_finetuned(source: Path, task: Task, model: "nn.Module") -> None:
    """Raise `SuiteError` where a model of a folder has no head for a task, or one whose outputs mean something else."""
    check_head(source, task, type(model).__name__)
    check_model_class(model, task)
    kind_of(task).check_head(task, model.config)


def publish(result: Path, out: Path) -> None:
    """Move the files of a finished result to `out`, weights last.

    Until then `out` holds no model, so that after a crash the same command may go on.
    """
    for path in sorted(result.iterdir(), key=lambda path: path.suffix == ".safetensors"):
        path.replace(out / path.name)
    result.rmdir()


def layers_of(source: Path) -> int:
    """Number of layers that a model's config names; 0 where it names none."""
    config = json.loads((source / "config.json").read_text())
    return next((int(config[name]) for name in DEPTHS if config.get(name)), 0)
