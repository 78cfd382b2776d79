"""The one training loop: several optimisers, named loss terms, checkpoints and bit-equal resume."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vtrans.errors import RunCancelled, RunFailed
from vtrans.examples import Batches, Examples
from vtrans.settings import Schedule

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}
Report = Callable[[str, int, int, dict[str, float]], None]


class Objective(Protocol):
    """What a stage trains: parameters with their optimisers, and the loss of a batch as named terms."""

    modules: dict[str, nn.Module]

    def optimizers(self, schedule: Schedule) -> dict[str, Optimizer]:
        """Optimisers by name; the one called `weights` follows the schedule's learning rate."""
        ...

    def terms(self, batch: dict[str, Tensor], step: int, total: int) -> dict[str, Tensor]:
        """Weighted terms of the loss, which is their sum; 0-d each."""
        ...

    def after_step(self) -> None:
        """Called once the optimisers have stepped."""
        ...

    def watch(self) -> dict[str, float]:
        """Numbers to be logged beside the terms."""
        ...


@dataclass
class Desk:
    """Where a run keeps its files and to whom it reports. Changes no result.

    Attributes:
        folder: for checkpoints and logs; None to keep nothing.
        report: called after each step with stage name, step, total and the numbers of the step.
        every: seconds between checkpoints.
        stop: set to True from a signal handler, it ends the run at the next step.
    """

    folder: Path | None = None
    report: Report | None = None
    every: float = 30.0
    stop: bool = False
    elapsed: dict[str, float] = field(default_factory=dict)


def fit(objective: Objective, examples: Examples, schedule: Schedule, seed: int, name: str, desk: Desk) -> None:
    """Train `objective` for the whole schedule, from the last checkpoint where there is one.

    Args:
        objective: what to train.
        examples: training rows.
        schedule: length and rates.
        seed: of batches, dropout and gate noise.
        name: of the stage; names its files.
        desk: files, reporting and the stop flag.

    Raises:
        RunFailed: a loss term is not finite; names term and step.
        RunCancelled: the stop flag was set; the checkpoint is written.
    """
    total = schedule.total(len(examples))
    torch.manual_seed(seed)
    state = _State(objective, objective.optimizers(schedule), desk, name, schedule.precision)
    batches, first = Batches(examples.lengths, schedule.batch, seed), state.restore()
    started = saved = time.monotonic()
    for step in range(first, total):
        numbers = _step(state, examples, batches[step], schedule, step, total)
        state.elapsed += time.monotonic() - started
        started = time.monotonic()
        state.log(step, total, numbers)
        if desk.stop or step + 1 == total or started - saved > desk.every:
            state.save(step + 1)
            saved = time.monotonic()
        if desk.stop:
            raise RunCancelled(f"stopped at step {step + 1} of {total} of {name}", "run the same command to go on")
    desk.elapsed[name] = state.elapsed


def _step(
    state: "_State", examples: Examples, rows: list[int], schedule: Schedule, step: int, total: int
) -> dict[str, float]:
    for name, optimizer in state.optimizers.items():
        optimizer.zero_grad(set_to_none=True)
        for group in optimizer.param_groups if name == "weights" else ():
            group["lr"] = schedule.lr * schedule.lr_factor(step, total)
    sums: dict[str, float] = {}
    for part in _parts(rows, schedule.accumulate):
        terms = _terms(state, examples, part, step, total)
        check_finite(terms, step, state.name)
        state.scaler.scale(torch.stack([*terms.values()]).sum() * (len(part) / len(rows))).backward()
        for key, value in terms.items():
            sums[key] = sums.get(key, 0.0) + float(value.detach()) * len(part) / len(rows)
    _apply(state, schedule)
    return sums


def _parts(rows: list[int], count: int) -> list[list[int]]:
    size = -(-len(rows) // count)
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _terms(state: "_State", examples: Examples, rows: list[int], step: int, total: int) -> dict[str, Tensor]:
    batch = {k: v.to(state.device) for k, v in examples.batch(rows).items()}
    dtype = PRECISIONS.get(state.precision)
    with torch.autocast(state.device.type, dtype=dtype, enabled=dtype is not None):
        return state.objective.terms(batch, step, total)


def _apply(state: "_State", schedule: Schedule) -> None:
    for name, optimizer in state.optimizers.items():
        state.scaler.unscale_(optimizer)
        if name == "weights" and schedule.clip:
            weights = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(weights, schedule.clip)
        state.scaler.step(optimizer)
    state.scaler.update()
    state.objective.after_step()


def check_finite(terms: dict[str, Tensor], step: int, stage: str) -> None:
    """Raise `RunFailed` for the first term that is NaN or infinite, before it reaches a weight."""
    for name, value in terms.items():
        if not torch.isfinite(value):
            raise RunFailed(
                f"loss term {name!r} is {float(value)} at step {step} of {stage}",
                "lower the learning rate or train in fp32; the last checkpoint is kept",
            )


class _State:
    """Everything that has to be the same after a resume."""

    def __init__(
        self, objective: Objective, optimizers: dict[str, Optimizer], desk: Desk, name: str, precision: str
    ) -> None:
        self.objective, self.optimizers, self.desk, self.name = objective, optimizers, desk, name
        self.precision, self.elapsed = precision, 0.0
        self.device = next(p.device for m in objective.modules.values() for p in m.parameters())
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")

    @property
    def _file(self) -> Path | None:
        return self.desk.folder / f"{self.name}.ckpt" if self.desk.folder else None

    def _trained(self) -> dict[str, dict[str, Tensor]]:
        return {
            k: {n: p.data for n, p in m.named_parameters() if p.requires_grad}
            for k, m in self.objective.modules.items()
        }

    def save(self, step: int) -> None:
        """Write the checkpoint atomically: trained parameters, optimisers, generators, step and time."""
        if self._file is None:
            return
        content = {
            "step": step,
            "elapsed": self.elapsed,
            "parameters": self._trained(),
            "optimizers": {k: o.state_dict() for k, o in self.optimizers.items()},
            "scaler": self.scaler.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        with part.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, self._file)

    def restore(self) -> int:
        """Load the checkpoint and return the step to go on from; 0 without one or with a damaged one."""
        content = read_checkpoint(self._file)
        if content is None:
            self._trim_log(0)
            return 0
        for key, parameters in self._trained().items():
            for name, value in parameters.items():
                value.copy_(content["parameters"][key][name])
        for key, optimizer in self.optimizers.items():
            optimizer.load_state_dict(content["optimizers"][key])
        self.scaler.load_state_dict(content["scaler"])
        torch.set_rng_state(content["rng"])
        if content["cuda"]:
            torch.cuda.set_rng_state_all(content["cuda"])
        self.elapsed = content["elapsed"]
        self._trim_log(content["step"])
        return content["step"]

    def _log_file(self) -> Path | None:
        return self.desk.folder / f"{self.name}.jsonl" if self.desk.folder else None

    def _trim_log(self, step: int) -> None:
        path = self._log_file()
        if path is None or not path.exists():
            return
        lines = [
            line for line in path.read_text().splitlines() if line.endswith("}") and json.loads(line)["step"] < step
        ]
        path.write_text("".join(f"{line}\n" for line in lines))

    def log(self, step: int, total: int, numbers: dict[str, float]) -> None:
        """Append the step's terms and watched numbers to the stage's JSONL and report them."""
        if step % 10 == 0 or step + 1 == total:
            numbers = {**numbers, **self.objective.watch()}
            if (path := self._log_file()) is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a") as stream:
                    stream.write(json.dumps({"step": step, **numbers}) + "\n")
        if self.desk.report:
            self.desk.report(self.name, step + 1, total, numbers)


def read_checkpoint(path: Path | None) -> dict[str, Any] | None:
    """Content of a checkpoint file; None where there is none, or where it is damaged and set aside."""
    if path is None or not path.exists():
        return None
    try:
        return torch.load(path, weights_only=True)
    except Exception:  # torch raises a dozen kinds for a damaged file
        path.replace(path.with_suffix(".corrupt"))
        return None


@contextmanager
def stop_on_interrupt(desk: Desk) -> Iterator[None]:
    """Turn the first Ctrl-C into `desk.stop`; the second one interrupts at once."""

    def handler(number: int, frame: object) -> None:
        if desk.stop:
            raise KeyboardInterrupt
        desk.stop = True

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
