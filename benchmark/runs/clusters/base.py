"""What a cluster is to the grid that sends it cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmark.runs.clusters.job import Job

Handle = Any
Run = Callable[[Job], str]


class WorkerDied(Exception):
    """The worker of a job ended before the job did."""


@dataclass(frozen=True)
class Resources:
    """What each cell gets.

    Attributes:
        cores, gpus: of one machine.
        hours: 0 for no limit of the suite's own.
    """

    cores: int = 1
    gpus: int = 0
    hours: float = 0.0


class Cluster(Protocol):
    """An engine that runs jobs somewhere."""

    def submit(self, jobs: Sequence[Job]) -> list[Handle]:
        """Send jobs."""
        ...

    def ended(self, handles: Sequence[Handle]) -> list[bool]:
        """Which of them are over."""
        ...

    def result(self, handle: Handle) -> str:
        """What a job came to that is over.

        Raises:
            WorkerDied: its worker ended first.
        """
        ...

    def cancel(self, handle: Handle) -> None:
        """Let a job stop, with a checkpoint where it runs."""
        ...
