"""The one training loop: several optimisers, named loss terms, checkpoints and bit-equal resume."""

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vtrans import ranks
from vtrans.data.examples import Batches, Rows, padded_width
from vtrans.errors import RunCancelled, RunFailed, SuiteError
from vtrans.heap import trim
from vtrans.settings import Schedule
from vtrans.signals import ending, handled_by
from vtrans.training.checkpoint import Pace, StageFiles
from vtrans.training.dropout import cheap_dropout
from vtrans.training.engine import Engine, LocalEngine, drops, own_dropout
from vtrans.training.flops import FlopMeter
from vtrans.training.micro_batches import MicroBatch, micro_batches
from vtrans.training.precision import autocast, resolve
from vtrans.training.shared import SharedStages

if TYPE_CHECKING:
    from vtrans.teaching.cache import TeacherCache

LOG_EVERY = 10  # steps
TRIM_EVERY = 16  # steps
Report = Callable[[str, int, int, dict[str, float]], None]


class Objective(Protocol):
    """What a stage trains: parameters with their optimisers, and the loss of a batch as named terms."""

    modules: dict[str, nn.Module]

    def optimizers(self, schedule: Schedule) -> dict[str, Optimizer]:
        """Optimisers by name; the one called `weights` follows the schedule's learning rate.

        A parameter group of it may carry a `share`, a factor on that rate.
        """
        ...

    def losses(self, batch: dict[str, Tensor], step: int, total: int) -> dict[str, Tensor]:
        """Weighted terms of the loss, which is their sum; 0-d each."""
        ...

    def after_step(self) -> None:
        """Called once the optimisers have stepped."""
        ...

    def metrics(self) -> dict[str, float]:
        """Numbers to be logged beside the terms."""
        ...


@dataclass
class RunContext:
    """Where a run keeps its files and to whom it reports. Changes no result beyond rounding.

    Attributes:
        folder: for checkpoints and logs; None to keep nothing.
        report: called after each step with stage name, step, total and the numbers of the step.
        every: seconds between checkpoints; the first ones come sooner, for machines that are stopped soon, and all of
            them later where they take long to write (see `Pace`).
        stop: set to True from a signal handler, it ends the run at the next step.
        engine: where steps run; of several ranks, the first alone writes files.
        teacher_cache: where outputs of teachers are kept; None to run the teacher in every step.
        shared: where ended stages are kept for runs that begin alike; None to train all of them.
        elapsed: seconds of each stage that has ended, resumed parts included.
        flops: that each of them has computed, on all ranks, two per multiply-accumulate.
        tokens: that each of them has trained on, padding included.
        taken: those that were taken from another run, and the name of its folder.
        precisions: what each of them was computed in; two where it went on on a machine of another kind.
    """

    folder: Path | None = None
    report: Report | None = None
    every: float = 30.0
    stop: bool = False
    elapsed: dict[str, float] = field(default_factory=dict)
    flops: dict[str, float] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    precisions: dict[str, str] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    engine: Engine = field(default_factory=LocalEngine)
    teacher_cache: "TeacherCache | None" = None
    shared: SharedStages | None = None


def fit(
    objective: Objective,
    examples: Rows,
    schedule: Schedule,
    seed: int,
    name: str,
    run_context: RunContext,
    begun: Sequence[Any] = (),
) -> None:
    """Train `objective` for the whole schedule, from the last checkpoint where there is one.

    Where no weights train, that may be the last one of another run (see `vtrans.training.shared`).

    Args:
        objective: what to train.
        examples: training rows.
        schedule: length and rates.
        seed: of batches, dropout and gate noise.
        name: of the stage; names its files.
        run_context: files, reporting and the stop flag.
        begun: configs of the run's stages up to this one, as JSON values; empty to share nothing.

    Raises:
        RunFailed: a loss term is not finite; names term and step.
        RunCancelled: the stop flag was set, by Ctrl-C or SIGTERM for one; the checkpoint is written.
    """
    loop = Loop(objective, examples, schedule, seed, name, run_context.engine)
    loop.origin = own = _origin(run_context, begun if "weights" not in loop.optimizers else ())
    files, shared = StageFiles(run_context.folder, name), run_context.shared
    if shared and own:
        ranks.on_first_rank(lambda: shared.fetch(own["stage"], files))
    first = loop.restore(files.read())
    check_in_step(first, name)
    with stop_on_interrupt(run_context):
        _train(loop, first, run_context)
    if ranks.all_reduce_sum([run_context.stop])[0]:  # it came after the last step
        raise RunCancelled(f"stopped after {name}", "run the same command to go on")
    if shared and own and loop.origin == own:
        ranks.on_first_rank(lambda: shared.keep(own["stage"], files))
    elif run_context.folder and loop.origin.get("run", run_context.folder.name) != run_context.folder.name:
        run_context.taken[name] = loop.origin["run"]


def _origin(run_context: RunContext, begun: Sequence[Any]) -> dict[str, str]:
    """The stage that is about to begin, by its name among those that runs share, and the run; empty if not shared."""
    shared, folder = run_context.shared, run_context.folder
    if not (shared and folder and begun):
        return {}
    return ranks.on_first_rank(lambda: {"stage": shared.name(begun), "run": folder.name})


def _train(loop: "Loop", first: int, run_context: RunContext) -> None:
    """Make the steps of a stage from `first` on, and put what they took into the run's account."""
    name = loop.name
    files = StageFiles(run_context.folder if ranks.rank() == 0 else None, name)
    files.trim_log(first)
    started, pace, before = time.monotonic(), Pace(run_context.every, loop.bytes), loop.elapsed
    for step in range(first, loop.total):
        numbers = loop.step(step)
        loop.elapsed += time.monotonic() - started
        started = time.monotonic()
        _log(loop, files, run_context, step, numbers)
        stop = bool(ranks.all_reduce_sum([run_context.stop])[0])  # a signal may reach one rank a step before another
        early = step == first and pace.worth_one((loop.elapsed - before) * (loop.total - step - 1))
        if stop or step + 1 == loop.total or early or pace.due():
            with pace.writing():
                files.write(loop.state(step + 1))
        if stop:
            ranks.barrier()  # the first rank has written its checkpoint
            raise RunCancelled(f"stopped at step {step + 1} of {loop.total} of {name}", "run the same command to go on")
    run_context.elapsed[name], run_context.flops[name] = loop.elapsed, loop.meter.flops
    run_context.tokens[name] = loop.tokens
    run_context.precisions[name] = " and ".join(loop.precisions)


def check_in_step(first: int, name: str) -> None:
    """Raise `RunFailed` where ranks have read different checkpoints."""
    found = ranks.all_gather(first)
    if len(set(found)) > 1:
        cause = f"ranks go on with {name} from different steps ({', '.join(map(str, found))})"
        raise RunFailed(cause, "let --results be a folder that all machines share")


def _log(loop: "Loop", files: StageFiles, run_context: RunContext, step: int, numbers: dict[str, float]) -> None:
    if step % LOG_EVERY == 0 or step + 1 == loop.total:
        numbers = {**numbers, **loop.objective.metrics()}
        files.append_log({"step": step, **numbers})
    if run_context.report:
        run_context.report(loop.name, step + 1, loop.total, numbers)


class Loop:
    """One stage in training: everything that has to be the same after a resume, and how a step is made."""

    def __init__(
        self,
        objective: Objective,
        examples: Rows,
        schedule: Schedule,
        seed: int,
        name: str,
        engine: Engine | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self.objective, self.examples, self.schedule, self.name = objective, examples, schedule, name
        self.total, self.elapsed = schedule.total(len(examples)), 0.0
        self.batches = Batches(examples.lengths, schedule.batch, seed)
        self.longest = max(self.batches.lengths)
        self.optimizers = objective.optimizers(schedule)
        self.engine = engine or LocalEngine()
        assert ranks.world_size() == 1 or self.engine.sharding, (
            "ranks that train together need an engine that sums gradients"
        )
        self._drops = drops(objective.modules["model"])
        self.device = self.engine.device(objective.modules["model"])
        self.meter, self.tokens = FlopMeter(), 0
        self.origin: dict[str, str] = {}
        self.precision = resolve(schedule.precision, self.device)
        self.precisions = [self.precision]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        objective.modules["model"] = self.engine.wrap(objective.modules["model"])

    def step(self, step: int) -> dict[str, float]:
        """Make one optimiser step and return its loss terms.

        Raises:
            RunFailed: a term is not finite.
        """
        self._prepare(step)
        rows, sums = self.batches[step], dict[str, float]()
        width = padded_width([self.batches.lengths[row] for row in rows], self.longest)
        mine = micro_batches(rows, self.schedule.accumulate, ranks.rank(), ranks.world_size(), self.examples.count)
        own = sum(len(micro.share.rows) for micro in mine) * width
        # Around the backward pass too: checkpointed layers are computed again in it.
        model = self.objective.modules["model"]
        with self.meter.step(step, len(rows) * width, own), cheap_dropout(model), self._own_dropout(model):
            for micro in mine:
                with ranks.sharing(micro.share):  # around the backward pass too, as above
                    losses = self._losses(micro, width, step)
                    terms = torch.stack([*losses.values()])
                    found = dict(zip(losses, terms.tolist(), strict=True))  # at once: each look at a GPU waits for it
                    self.engine.backward(self.scaler.scale(terms.sum() * micro.weight))
                for key, value in found.items():
                    sums[key] = sums.get(key, 0.0) + value * micro.weight
        sums = dict(zip(sums, ranks.all_reduce_sum([*sums.values()]), strict=True))
        check_finite(sums, step, self.name)  # of all ranks, so that all of them end
        self.tokens += len(rows) * width
        self._apply()
        if step % TRIM_EVERY == 0 and self.device.type == "cpu":
            trim(collect=False)
        return sums

    def _own_dropout(self, model: nn.Module) -> AbstractContextManager[None]:
        return own_dropout(model) if self._drops and ranks.world_size() > 1 else nullcontext()

    def _prepare(self, step: int) -> None:
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        for group in self.optimizers["weights"].param_groups if "weights" in self.optimizers else ():
            group["lr"] = group.get("share", 1.0) * self.schedule.lr * self.schedule.lr_factor(step, self.total)

    def _losses(self, micro: MicroBatch, width: int, step: int) -> dict[str, Tensor]:
        batch = {k: v.to(self.device) for k, v in self._batch(micro, width).items()}
        with autocast(self.precision, self.device):
            return self.objective.losses(batch, step, self.total)

    def _batch(self, micro: MicroBatch, width: int) -> dict[str, Tensor]:
        if self.examples.repeats:
            return self.examples.batch(micro.rows, width)
        own = list(micro.share.rows)  # what is drawn anew is drawn for all ranks
        return {name: tensor[own] for name, tensor in self.examples.batch(micro.all_rows, width).items()}

    def _apply(self) -> None:
        for name, optimizer in self.optimizers.items():
            self.engine.reduce(p for group in optimizer.param_groups for p in group["params"])
            self.scaler.unscale_(optimizer)
            if name == "weights" and self.schedule.clip:
                weights = [p for group in optimizer.param_groups for p in group["params"]]
                nn.utils.clip_grad_norm_(weights, self.schedule.clip)
            self.scaler.step(optimizer)
        self.scaler.update()
        self.objective.after_step()

    def _trained(self) -> dict[str, dict[str, Tensor]]:
        every = {id(p) for o in self.optimizers.values() for group in o.param_groups for p in group["params"]}
        modules = self.objective.modules.items()
        return {
            k: {n: p.data for n, p in m.named_parameters() if p.requires_grad and id(p) in every} for k, m in modules
        }

    @property
    def bytes(self) -> int:
        """Size of a checkpoint, about: what trains, and two moments of it."""
        return sum(3 * value.nbytes for module in self._trained().values() for value in module.values())

    def state(self, step: int) -> dict[str, Any]:
        """Trained parameters, optimisers, random generators, step and time, for a checkpoint."""
        return {
            "step": step,
            "origin": self.origin,
            "elapsed": self.elapsed,
            "precisions": self.precisions,
            "flops": self.meter.flops,
            "tokens": self.tokens,
            "parameters": self._trained(),
            "optimizers": {k: o.state_dict() for k, o in self.optimizers.items()},
            "scaler": self.scaler.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Take over what `state` returned and return the step to go on from; 0 for None."""
        if state is None:
            return 0
        for key, parameters in self._trained().items():
            if parameters.keys() != state["parameters"].get(key, {}).keys():
                raise SuiteError(
                    f"the checkpoint of {self.name} is of another version: it has other parameters of the {key}",
                    "remove the run's folder to start over, or go on with that version",
                )
            for name, value in parameters.items():
                value.copy_(state["parameters"][key][name])
        for key, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][key])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["rng"])
        if state["cuda"] and torch.cuda.is_available():  # of the device at hand, whichever wrote it
            torch.cuda.set_rng_state(state["cuda"][0])
        self.elapsed = state["elapsed"]
        self.meter.flops, self.tokens = state["flops"], state["tokens"]
        found: int = state["step"]
        self.precisions = list(dict.fromkeys([*state["precisions"], *([self.precision] if found < self.total else [])]))
        self.origin = state["origin"]
        return found


def check_finite(terms: dict[str, float], step: int, stage: str) -> None:
    """Raise `RunFailed` for the first term that is NaN or infinite, before it reaches a weight."""
    for name, value in terms.items():
        if not math.isfinite(value):
            raise RunFailed(
                f"loss term {name!r} is {value} at step {step} of {stage}",
                "lower the learning rate or train in fp32; the last checkpoint is kept",
            )


@contextmanager
def stop_on_interrupt(run_context: RunContext) -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into `run_context.stop`; another Ctrl-C interrupts at once."""

    def handler(number: int, frame: object) -> None:
        """Set the flag, or interrupt; SIGTERM may come twice, from a launcher and from whoever stops both."""
        if run_context.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        run_context.stop = True

    with handled_by(handler):
        try:
            yield
        finally:
            if run_context.stop:
                ending()
