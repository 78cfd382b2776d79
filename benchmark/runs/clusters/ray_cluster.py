"""Jobs as tasks of Ray."""

from collections.abc import Sequence
from typing import Any

from benchmark.runs.clusters.base import Handle, Resources, Run, WorkerDied
from benchmark.runs.clusters.job import Job, run_job
from vtrans.errors import SuiteError, extra


class RayCluster:
    """A Ray cluster that runs already.

    Args:
        address: of it; empty for that of this machine.
        resources: of each job.
        run: what a worker does with a job.

    Raises:
        SuiteError: ray is not installed, or no cluster answers.
    """

    def __init__(self, address: str, resources: Resources, run: Run = run_job) -> None:
        try:
            import ray
        except ImportError:
            raise SuiteError("package ray is not installed", extra("ray")) from None
        self.ray: Any = ray
        if not ray.is_initialized():
            try:
                ray.init(address=address or "auto", log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, RuntimeError, ValueError) as error:
                cause = str(error).splitlines()[0]
                remedy = "start one with `ray start --head`, or give its address as --cluster"
                raise SuiteError(f"no Ray cluster answers ({cause})", remedy) from None
        # Retries are the grid's own: it knows which jobs go on from a checkpoint.
        options = {"num_cpus": resources.cores, "num_gpus": resources.gpus, "max_retries": 0}
        self._run = self.ray.remote(**options)(run)

    def submit(self, jobs: Sequence[Job]) -> list[Handle]:
        """As tasks, which Ray places where there is room."""
        return [self._run.remote(job) for job in jobs]

    def ended(self, handles: Sequence[Handle]) -> list[bool]:
        """Whether their results are there."""
        if not handles:
            return []
        over, _ = self.ray.wait(list(handles), num_returns=len(handles), timeout=0, fetch_local=False)
        known = set(over)
        return [handle in known for handle in handles]

    def result(self, handle: Handle) -> str:
        """What the task gave."""
        try:
            found: str = self.ray.get(handle)
        except self.ray.exceptions.RayError as error:
            raise WorkerDied(type(error).__name__) from None
        return found

    def cancel(self, handle: Handle) -> None:
        """As by Ctrl-C in the worker."""
        self.ray.cancel(handle, force=False)
