"""Distilled students: DistilBERT-style, and TinyBERT-style without general distillation, cut from the suite's teacher.

A student starts from layers of its teacher, the last of each equal part, so that its layer m stands where the
teacher's layer m N / M does (TinyBERT, section 3). It goes on without any pre-training of its own.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vtrans.forecast import TRAINED, Forecast
from vtrans.method import Job, Method, Stage
from vtrans.settings import Distillation, Schedule
from vtrans.stages import Materialise

if TYPE_CHECKING:
    from torch import Tensor

    from vtrans.anatomy import Anatomy
    from vtrans.multipliers import Multipliers


@dataclass(frozen=True)
class KeepLayers(Stage):
    """Keep one layer of every `every`, and the given shares of hidden and FFN units, those of the largest norm."""

    every: int = 2
    hidden: float = 1.0
    ffn: float = 1.0

    def run(self, job: Job) -> None:
        """Set `job.decision`.

        Raises:
            SuiteError: the model has fewer layers than that.
        """
        from vtrans.anatomy import anatomy_of

        anatomy = anatomy_of(job.model)
        layers = kept_layers(len(anatomy.blocks), self.every)
        job.decision = student_units(job.model, anatomy, layers, self.hidden, self.ffn)
        job.report["pruning"] = {"kept": job.decision.kept(), "layers": [layer + 1 for layer in layers]}

    def forecast(self, state: Forecast) -> float:
        """A decision without training: attention is a third of a layer, the FFN two thirds."""
        state.decided = self.hidden * (1 / 3 + self.ffn * 2 / 3) / self.every
        return 0.0


@dataclass(frozen=True)
class StudentLosses:
    """Weights of a student's loss terms.

    Attributes:
        prediction: T^2 KL of the logits.
        task: cross-entropy on the labels.
        cosine: 1 - cos of the last hidden states.
        hidden: mean squared error of hidden states, embeddings included, the student's linearly transformed.
        attention: mean squared error of attention weights. TinyBERT fits the scores before the softmax.
        temperature: T.
    """

    prediction: float = 0.0
    task: float = 0.0
    cosine: float = 0.0
    hidden: float = 0.0
    attention: float = 0.0
    temperature: float = 1.0


DISTILBERT = StudentLosses(prediction=5.0, task=2.0, cosine=1.0, temperature=2.0)  # of its training script
TINYBERT_LAYERS = StudentLosses(hidden=1.0, attention=1.0)  # first stage of the task distillation, equation 11
TINYBERT_LOGITS = StudentLosses(prediction=1.0)  # its second stage


@dataclass(frozen=True)
class DistilStudent(Stage):
    """Train the student on the losses."""

    schedule: Schedule
    losses: StudentLosses

    def run(self, job: Job) -> None:
        """Train `job.model`; its layer transformation stays in `job.transform`."""
        import torch

        from baselines.student_objective import StudentObjective
        from vtrans.training import fit

        torch.manual_seed(job.stage_seed)
        layers = [layer - 1 for layer in job.report["pruning"]["layers"]]
        objective = StudentObjective(job.model, job.teacher, self.losses, layers, job.transform)
        with objective.attending():
            fit(objective, job.train, self.schedule, job.stage_seed, job.label(self), job.desk)
        job.transform = objective.transform.weight.detach()

    def forecast(self, state: Forecast) -> float:
        """Passes of the student and its teacher."""
        return state.training(self.schedule, TRAINED, Distillation())


@dataclass(frozen=True)
class DistilBert(Method):
    """Half of the layers, as wide as the teacher (Sanh et al. 2019), distilled on the task alone."""

    train: Schedule
    every: int = 2
    losses: StudentLosses = DISTILBERT

    def stages(self) -> tuple[Stage, ...]:
        """Cut, distil."""
        return (KeepLayers(self.every), Materialise(), DistilStudent(self.train, self.losses))


@dataclass(frozen=True)
class TinyBert(Method):
    """Fewer and narrower layers (Jiao et al. 2020: 4 of 12, 312 of 768 wide), without general distillation.

    Attributes:
        layers, logits: schedules of the two stages of the task distillation.
        every: one layer of so many is kept.
        hidden, ffn: shares of hidden and FFN units kept; heads are as many as the teacher's, for their attention.
    """

    layers: Schedule
    logits: Schedule
    every: int = 3
    hidden: float = 312 / 768
    ffn: float = 1200 / 3072

    def stages(self) -> tuple[Stage, ...]:
        """Cut, distil the layers, distil the logits."""
        cut = (KeepLayers(self.every, self.hidden, self.ffn), Materialise())
        return (*cut, DistilStudent(self.layers, TINYBERT_LAYERS), DistilStudent(self.logits, TINYBERT_LOGITS))


def kept_layers(depth: int, every: int) -> list[int]:
    """Indices of the last layers of parts of `every` layers.

    Raises:
        SuiteError: there are fewer layers than that.
    """
    from vtrans.errors import SuiteError

    if depth < every:
        raise SuiteError(f"a student of one layer in {every} needs a teacher of more than {depth}", "prune it instead")
    return list(range(every - 1, depth, every))


def student_units(model: Any, anatomy: "Anatomy", layers: list[int], hidden: float, ffn: float) -> "Multipliers":
    """The decision that leaves these layers and shares of units."""
    import torch

    from baselines.one_shot import keep_share, unit_scores
    from vtrans.multipliers import Multipliers

    heads, units = unit_scores(model, anatomy, "magnitude", None)
    chosen = keep_share(anatomy, heads, units, 1.0, ffn)
    on = [torch.tensor(float(layer in layers)) for layer in range(len(anatomy.blocks))]
    return Multipliers.of(_largest(model, anatomy, hidden), chosen.heads, chosen.ffn, on, on)


def _largest(model: Any, anatomy: "Anatomy", share: float) -> "Tensor":
    """The hidden units of the largest norm in the embedding tables."""
    import torch

    norms = sum(model.get_submodule(path).weight.detach().square().sum(0) for path in anatomy.embeddings)
    kept = torch.zeros(anatomy.hidden)
    kept[torch.as_tensor(norms).cpu().topk(round(share * anatomy.hidden)).indices] = 1.0
    return kept
