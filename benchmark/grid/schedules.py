"""Schedules of a preset for one task, by what they are for."""

from dataclasses import dataclass, replace

from vtrans.settings import Schedule


@dataclass(frozen=True)
class Schedules:
    """Schedules of a preset for one task.

    Attributes:
        finetune: of the dense model, which is also the teacher; None where the pre-trained one is taken as it is.
        prune, recover: of the methods that see all data, and of the recovery of the one-shot rows.
        fast_prune, fast_recover: of the methods that see a 3 % subset.
        ramp: share of the pruning steps over which the target of CoFi rises.
        tokens: of Infor-Coef's second stage, and of the other token methods where they have none of their own.
        skim: of Transkimmer.
        token_search, token_retrain: of PoWER-BERT's two stages.
        retention: strength and rate of PoWER-BERT's search.
        length: fixed length of the task's sequences, the ranks that PoWER-BERT searches over.
    """

    finetune: Schedule | None
    prune: Schedule
    recover: Schedule
    fast_prune: Schedule
    fast_recover: Schedule
    ramp: float = 0.1
    tokens: Schedule = Schedule(epochs=3, lr=2e-5)
    skim: Schedule | None = None
    token_search: Schedule = Schedule(epochs=3, lr=3e-5)
    token_retrain: Schedule | None = None
    retention: tuple[float, float] = (2e-4, 3e-3)
    length: int = 128

    def schedules(self) -> list[Schedule]:
        """All of them."""
        return [value for value in vars(self).values() if isinstance(value, Schedule)]

    def forced(self, precision: str) -> "Schedules":
        """The same in one precision; an empty one leaves all as they are."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, Schedule)}
        changed = {name: replace(value, precision=precision) for name, value in own.items()}  # type: ignore[arg-type]
        return replace(self, **changed) if precision else self  # type: ignore[arg-type]
