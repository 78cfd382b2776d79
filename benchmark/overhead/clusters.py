"""What sending cells costs: planning and sending a thousand, and a worker's time beside that of the cell."""

import sys
import tempfile
import time
from pathlib import Path

from benchmark.grid.cells import plan
from benchmark.records.store import Store
from benchmark.runs.clusters.base import Cluster, Resources
from benchmark.runs.clusters.grid import with_needed
from benchmark.runs.clusters.job import DONE, Job
from benchmark.runs.jobs import identity

CELLS, SEEDS = 1000, 100
ROWS = [f"{method}-s{size}" for method in ("random", "magnitude", "CoFi", "VTrans") for size in (60, 80)] + ["dense"]


def nothing(job: Job) -> str:
    """A job that does nothing."""
    return DONE


def lines() -> list[str]:
    """One line per figure, for each engine that is installed; Ray needs a cluster on this machine."""
    from benchmark.runs.clusters.slurm_cluster import SlurmCluster

    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.monotonic()
        cells = plan("glue", "small", ROWS, ["sst2", "mrpc"], range(SEEDS))[:CELLS]
        todo = with_needed(cells, Store(folder, "glue", "small"))
        jobs = [Job(identity(cell), folder, 0, None, False, cell.key, "", 1) for cell in todo]
        found.append(f"planning {len(jobs)} cells: {time.monotonic() - began:.1f} s")
        found += sending("ray", _ray(), jobs)
        found += sending("slurm --cluster local", SlurmCluster("local", Resources(), folder, nothing), jobs[:8])
    return found


def _ray() -> Cluster:
    import ray

    from benchmark.runs.clusters.ray_cluster import RayCluster

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    return RayCluster("", Resources(), nothing)


def sending(name: str, cluster: Cluster, jobs: list[Job]) -> list[str]:
    """Time to send jobs, and from there to the end of all of them."""
    began = time.monotonic()
    handles = cluster.submit(jobs)
    sent = time.monotonic() - began
    while not all(cluster.ended(handles)):
        time.sleep(0.05)
    each = (time.monotonic() - began) / len(jobs)
    return [f"{name}: sending {len(jobs)} cells {sent:.1f} s, {1000 * each:.0f} ms a cell until all have ended"]


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
