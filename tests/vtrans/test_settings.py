"""Settings that cannot work are refused where they are made."""

import pytest

from baselines.cofi import CoFi
from baselines.transkimmer import Transkimmer
from vtrans.errors import SuiteError
from vtrans.methods.vtrans import VTrans
from vtrans.settings import Budget, Constraint, Distillation, Schedule

PLAN = Schedule(steps=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule(decay="cosine"), "decay of Schedule is 'cosine'; choose from linear, constant"),
        (lambda: Schedule(precision="int8"), "precision of Schedule is 'int8'; choose from auto, bf16, fp16, fp32"),
        (lambda: Distillation(match="arg"), "match of Distillation is 'arg'; choose from same, argmin"),
        (lambda: Constraint(threshold="unit"), "threshold of Constraint is 'unit'; choose from all, units"),
        (lambda: Budget(0.5, "flops"), "quantity of Budget is 'flops'; choose from parameters, macs"),
        (lambda: Budget(0.5, denominator="whole"), "denominator of Budget is 'whole'; choose from encoder, all"),
        (lambda: VTrans(Budget(0.5), PLAN, PLAN, noise="row"), "noise of VTrans is 'row'; choose from batch, sample"),
        (lambda: CoFi(Budget(0.5), PLAN, PLAN, fidelity="exact"), "fidelity of CoFi is 'exact'; choose from"),
        (lambda: Transkimmer(PLAN, fidelity="exact"), "fidelity of Transkimmer is 'exact'; choose from"),
    ],
)
def test_a_choice_that_is_none_is_named_with_those_there_are(make, message):
    with pytest.raises(SuiteError, match=message):
        make()


def test_a_class_of_a_user_s_with_types_for_checkers_alone_can_be_built():
    class Own(VTrans):
        thing: "Unheard" = None  # noqa: F821

    assert Own(Budget(0.5), PLAN, PLAN).budget == Budget(0.5)
