"""Task-agnostic pruning: a masked language model is pruned on text, and what is left of it is fine-tuned on tasks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vtrans.methods.base import Method, Stage
from vtrans.methods.stages import Finetune
from vtrans.settings import Schedule

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TaskAgnostic(Method):
    """What follows a pruning on text that knew no task: fine-tuning on the labels, without a teacher."""

    finetune: Schedule

    def stages(self) -> tuple[Stage, ...]:
        """Fine-tune."""
        return (Finetune(self.finetune),)


def move_encoder(small: "nn.Module", task_model: "nn.Module") -> "nn.Module":
    """Put the pruned encoder of one model, embeddings included, under the head of another; in place.

    The Linears that read the encoder keep their weights where no hidden unit is gone; else they are drawn anew,
    as it is not known to them which ones are.

    Args:
        small: a pruned masked language model.
        task_model: a dense model of the same family with a head for a task.

    Returns:
        `task_model`, as small as `small`.
    """
    from typing import Any, cast

    from vtrans.anatomy import anatomy_of
    from vtrans.saving.pruned import resize, widths

    anatomy, model = anatomy_of(task_model), cast("Any", task_model)
    resize(model, widths(small))
    part, source = (cast("Any", m).base_model.state_dict() for m in (model, small))
    model.base_model.load_state_dict(part | source)
    if anatomy_of(small).hidden < anatomy.hidden:
        for path in anatomy.output_linears:
            model.get_submodule(path).reset_parameters()
    return model
