"""A method is a frozen dataclass whose fields are its hyper-parameters and whose stages read as its algorithm box."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from vtrans.errors import SuiteError, extra
from vtrans.forecast import Forecast
from vtrans.heap import trim
from vtrans.selectors import SelectorSpec
from vtrans.settings import NOT_IN_KEY, Budget, Schedule, Setting
from vtrans.teaching.teacher import Teacher

if TYPE_CHECKING:  # torch comes in when a stage runs, not when the command line lists methods
    from torch import nn

    from vtrans.data.examples import Examples, Rows
    from vtrans.pruning.gates import GateSet
    from vtrans.pruning.masks import Masks
    from vtrans.training.loop import Objective, RunContext


@dataclass
class CompressionState:
    """One model under compression: what stages read and change.

    Attributes:
        teacher: the dense, fine-tuned model; never changed.
        train: rows to train on; a stage may narrow them.
        seed: of everything random.
        run_context: files and reporting.
        report: what stages found, for the run's record; JSON values only.
        decision: the hard decision over the model's units, once there is one.
        gates: the trained gates, once there are any.
        transform: the layer transformation that distillation trained, cut along with the model.
        stage: index of the stage that runs.
        begun: configs of the stages up to it.
        handover: folder where the size below, of a family of sizes, has left its pruning; None for the others.
    """

    teacher: Teacher
    train: "Examples"
    seed: int
    run_context: "RunContext"
    report: dict[str, Any] = field(default_factory=dict)
    decision: "Masks | None" = None
    gates: "GateSet | None" = None
    transform: Any = None
    stage: int = 0
    begun: list[Any] = field(default_factory=list)
    handover: Path | None = None
    _model: "nn.Module | None" = None

    @property
    def model(self) -> "nn.Module":
        """Starts as a copy of the teacher, ends as the smaller model."""
        if self._model is None:
            self._model = self.teacher.copy()
        return self._model

    @model.setter
    def model(self, model: "nn.Module") -> None:
        """Go on with another model."""
        self._model = model

    def release_models(self) -> None:
        """Let go of the model and of the teacher, and of what an engine holds of them: another model is to follow."""
        self._model = None
        self.teacher.release()
        self.run_context.engine.release()
        trim()

    @property
    def stage_seed(self) -> int:
        """Seed of the running stage, the same however often the run was interrupted."""
        return self.seed * 1000 + self.stage

    def label(self, stage: "Stage") -> str:
        """Name of the files and log lines of the running stage."""
        return f"{self.stage}-{stage.name}"

    def fit(self, stage: "Stage", objective: "Objective", schedule: Schedule, rows: "Rows | None" = None) -> None:
        """Train an objective, on the state's rows or those given, under the stage's name and seed.

        See `vtrans.training.loop.fit`.
        """
        from vtrans.training.loop import fit

        label = self.label(stage)
        fit(objective, rows or self.train, schedule, self.stage_seed, label, self.run_context, self.begun)
        if label in self.run_context.taken:
            self.report.setdefault("shared", {})[label] = self.run_context.taken[label]


class Stage(ABC):
    """One step of a method."""

    @abstractmethod
    def run(self, state: CompressionState) -> None:
        """Change `state`. Run again after a crash, it must end in the same state."""

    def forecast(self, outlook: Forecast) -> float:
        """Passes that the stage computes (see `Forecast`); changes `outlook` as it would."""
        return 0.0

    @property
    def name(self) -> str:
        """Name in logs and records."""
        return type(self).__name__.lower()


class Method(ABC):
    """A way to make a model smaller: a frozen dataclass, its fields the hyper-parameters.

    Attributes:
        name: in rows and on the command line.
        summary: one line on it.
        sized: whether it reaches a size that is asked for, so that its rows name a sparsity.
        selector: the token selector that it leaves in a model, for methods that drop tokens, which may follow a
            static method, as in `CoFi-s60+Infor-Coef`; None for the others.
        scalable: whether a loss scale makes it drop more or fewer tokens, as in `Transkimmer@2`.
        decodes: whether it is for decoders alone.
        frozen_backbone: whether DeepSpeed may hold its model, whole or in shards: frozen, cut and merged in its files.
        family: sparsities of the methods that go through several in one run, ascending: a row of one of them goes on
            from the row of the one below.
        text_method: method that prunes the encoder on text beforehand; empty for all that start from the dense model.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    sized: ClassVar[bool]
    selector: ClassVar[SelectorSpec | None] = None
    scalable: ClassVar[bool] = False
    decodes: ClassVar[bool] = False
    frozen_backbone: ClassVar[bool] = False
    family: ClassVar[tuple[float, ...]] = ()
    text_method: ClassVar[str] = ""

    @classmethod
    @abstractmethod
    def build(cls, setting: Setting) -> Self:
        """The method for a setting: with its schedules and size, and what else its papers vary with task or scale."""

    def target(self) -> Budget | None:
        """Size that it is to reach; None without one."""
        return None

    def scaled(self, loss_scale: float) -> Self:
        """The same with `loss_scale` times the pressure to drop tokens, of methods that are `scalable`."""
        raise SuiteError(f"{self.name} takes no loss scale", "leave it out")

    def packages(self) -> tuple[str, ...]:
        """Optional packages that its stages import."""
        return ()

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The algorithm, stage by stage."""

    def compress(self, state: CompressionState) -> "nn.Module":
        """Run all stages on a copy of the teacher; seconds of each, resumed ones included, go to the report.

        Returns:
            The smaller model, in evaluation mode.
        """
        state.model = state.teacher.copy()  # before any stage seeds the generator: loading may draw from it
        state.teacher.release()
        run_stages(state, self.stages())
        return state.model.eval().requires_grad_(False)

    def forecast(self, outlook: Forecast) -> float:
        """Forward passes of the dense model over one sequence that all stages compute."""
        return sum(stage.forecast(outlook) for stage in self.stages())


def run_stages(state: CompressionState, stages: Sequence[Stage]) -> None:
    """Run stages in their order; seconds of each, resumed ones included, go to the report.

    So do, as `shared`, the runs that have trained some of them.
    """
    seconds = state.report.setdefault("seconds", {})
    for state.stage, stage in enumerate(stages):
        start, label = time.monotonic(), state.label(stage)
        state.begun.append(config_of(stage))
        stage.run(state)
        trim()
        seconds[label] = max(time.monotonic() - start, state.run_context.elapsed.get(label, 0.0))


@dataclass(frozen=True)
class Chain(Method):
    """One method after the other, on the model that the first one leaves."""

    name = "chain"
    summary = "one method after the other"
    sized = False

    first: Method
    then: Method

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """Not to be built from a setting: it is made of two methods that were."""
        raise NotImplementedError

    def target(self) -> Budget | None:
        """The static size that either asks for."""
        return self.first.target() or self.then.target()

    def packages(self) -> tuple[str, ...]:
        """Those of both."""
        return self.first.packages() + self.then.packages()

    def stages(self) -> tuple[Stage, ...]:
        """All stages of both."""
        return self.first.stages() + self.then.stages()


EXTRAS = {"torch_pruning": "peers"}  # of the packages that methods import


def check_packages(method: Method) -> None:
    """Raise `SuiteError` where a package that a method's stages import is not installed: now, not after training."""
    for package in method.packages():
        if find_spec(package) is None:
            raise SuiteError(
                f"{method.name} needs the package {package}, which is not installed",
                extra(EXTRAS[package]) if package in EXTRAS else f"run `pip install {package}`",
            )


def _in_key(declared: "Field[Any]", value: Any) -> bool:
    return NOT_IN_KEY not in declared.metadata or value != declared.metadata[NOT_IN_KEY]


def config_of(thing: Any) -> Any:
    """A dataclass tree as JSON values with class names: the part of a run's key that a method contributes."""
    if is_dataclass(thing):
        values = {f.name: getattr(thing, f.name) for f in fields(thing) if _in_key(f, getattr(thing, f.name))}
        return {"class": type(thing).__name__, **config_of(values)}
    if isinstance(thing, (list, tuple)):
        return [config_of(item) for item in thing]
    if isinstance(thing, dict):
        return {key: config_of(value) for key, value in thing.items()}
    return thing
