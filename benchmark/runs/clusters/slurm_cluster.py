"""Jobs of Slurm, by submitit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.runs.clusters.base import Handle, Resources, Run, WorkerDied
from benchmark.runs.clusters.job import Job, run_job
from vtrans.errors import SuiteError, extra

LOCAL = "local"  # in place of a partition: processes of this machine
DAY = 24.0  # hours of a job without a limit
SPARE = 10  # minutes in which a job that is out of time writes its checkpoint


class Requeued:
    """Runs a job; where Slurm takes its machine away, the same job is queued again."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __call__(self, job: Job) -> str:
        """Run it."""
        return self.run(job)

    def checkpoint(self, job: Job) -> Any:
        """What is to be queued: the same, which goes on from its checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)


class SlurmCluster:
    """Slurm, or processes of this machine that are started likewise.

    Args:
        partition: of Slurm; empty for its default, `local` for processes of this machine.
        resources: of each job.
        folder: for scripts and logs, which all machines share.
        run: what a worker does with a job.

    Raises:
        SuiteError: submitit is not installed, or there is no Slurm here.
    """

    def __init__(self, partition: str, resources: Resources, folder: Path, run: Run = run_job) -> None:
        try:
            import submitit
        except ImportError:
            raise SuiteError("package submitit is not installed", extra("slurm")) from None
        self._submitit, self._run = submitit, Requeued(run)
        try:
            self._executor: Any = submitit.AutoExecutor(folder, cluster=LOCAL if partition == LOCAL else "slurm")
        except RuntimeError as error:
            raise SuiteError(
                f"there is no Slurm here ({error})", "give --cluster local, or run where sbatch is"
            ) from None
        more = {"slurm_partition": partition} if partition not in ("", LOCAL) else {}
        minutes = round(60 * (resources.hours or DAY)) + SPARE
        self._executor.update_parameters(
            name="vtrans-bench",
            timeout_min=minutes,
            cpus_per_task=resources.cores,
            gpus_per_node=resources.gpus,
            **more,
        )

    def submit(self, jobs: Sequence[Job]) -> list[Handle]:
        """As one array."""
        with self._executor.batch():
            return [self._executor.submit(self._run, job) for job in jobs]

    def ended(self, handles: Sequence[Handle]) -> list[bool]:
        """By their files, and now and then by asking Slurm."""
        return [handle.done() for handle in handles]

    def result(self, handle: Handle) -> str:
        """What the job gave."""
        try:
            found: str = handle.result()
        except (self._submitit.core.utils.FailedJobError, self._submitit.core.utils.UncompletedJobError) as error:
            raise WorkerDied(str(error).strip().splitlines()[-1]) from None
        return found

    def cancel(self, handle: Handle) -> None:
        """By a signal on which it writes its checkpoint."""
        handle.cancel(check=False)
