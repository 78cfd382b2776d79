"""Task-agnostic pruning: a masked language model is pruned on text, and what is left of it is fine-tuned on tasks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from vtrans.errors import SuiteError
from vtrans.methods.base import Method, Stage
from vtrans.methods.stages import Finetune
from vtrans.settings import Schedule, Setting

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TaskAgnostic(Method):
    """What follows a pruning on text that knew no task: fine-tuning on the labels, without a teacher."""

    sized = True

    finetune: Schedule

    @classmethod
    def build(cls, setting: Setting) -> Self:
        """With the setting's fine-tuning.

        Raises:
            SuiteError: it has none.
        """
        if setting.schedules.finetune is None:
            raise SuiteError("task-agnostic pruning is followed by fine-tuning, which is not here", "choose VTrans")
        return cls(setting.schedules.finetune)

    def stages(self) -> tuple[Stage, ...]:
        """Fine-tune."""
        return (Finetune(self.finetune),)


@dataclass(frozen=True)
class VTransAgnostic(TaskAgnostic):
    """Fine-tune an encoder that VTrans pruned on text."""

    name = "VTrans-agnostic"
    summary = "VTrans on text, knowing no task, then fine-tuned on the labels"
    text_method = "VTrans"


@dataclass(frozen=True)
class CoFiAgnostic(TaskAgnostic):
    """Fine-tune an encoder that CoFi pruned on text."""

    name = "CoFi-agnostic"
    summary = "CoFi on text, knowing no task, then fine-tuned on the labels"
    text_method = "CoFi"


def move_encoder(small: "nn.Module", task_model: "nn.Module") -> "nn.Module":
    """Put the pruned encoder of one model, embeddings included, under the head of another; in place.

    The Linears that read the encoder keep their weights where no hidden unit is gone; else they are drawn anew,
    because nothing says which of their columns belong to the units that are left.

    Args:
        small: a pruned masked language model.
        task_model: a dense model of the same family with a head for a task.

    Returns:
        `task_model`, as small as `small`.
    """
    from typing import Any, cast

    from vtrans.anatomy import Widths, anatomy_of, write_widths
    from vtrans.saving.build import resize

    anatomy, model = anatomy_of(task_model), cast("Any", task_model)
    resize(model, Widths.of(small))
    write_widths(model)
    part, source = (cast("Any", m).base_model.state_dict() for m in (model, small))
    model.base_model.load_state_dict(part | source)
    if anatomy_of(small).hidden < anatomy.hidden:
        for path in anatomy.output_linears:
            model.get_submodule(path).reset_parameters()
    found: nn.Module = model
    return found
