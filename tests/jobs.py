"""Methods on a tiny model."""

from tiny import tiny_bert, tiny_examples

from vtrans.methods.base import CompressionState
from vtrans.methods.stages import VariationalGates
from vtrans.methods.vtrans import FasterVTrans, FastVTrans, VTrans
from vtrans.settings import Budget, Constraint, Schedule
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

SCHEDULE = Schedule(steps=12, batch=8, lr=1e-3, precision="fp32")

METHODS = {
    "VTrans": VTrans(Budget(0.5), SCHEDULE, SCHEDULE, noise="sample"),
    "VTrans-met": VTrans(
        Budget(0.5),
        SCHEDULE,
        SCHEDULE,
        gates=VariationalGates(log_alpha=0.5),  # half is gone from the start, so that the count sharpens
        constraint=Constraint(size_exponent=0.5, sharpen="met"),
    ),
    "Fast-VTrans": FastVTrans(Budget(0.5), SCHEDULE, SCHEDULE, fraction=0.5),
    "Faster-VTrans": FasterVTrans(Budget(0.5), SCHEDULE, SCHEDULE, fraction=0.5),
}


def new_state(run_context: RunContext | None = None) -> CompressionState:
    teacher = tiny_bert()
    return CompressionState(Teacher(teacher), tiny_examples(), 3, run_context or RunContext())
