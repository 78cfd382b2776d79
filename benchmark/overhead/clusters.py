"""What sending cells costs: planning and sending a thousand, and a worker's time beside that of the cell.

`python -m benchmark.overhead.clusters` writes the figures to `results/bench/clusters.json`.
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmark.grid.cells import plan
from benchmark.overhead.ratios import write_facts
from benchmark.records.provenance import now
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


def measure() -> dict[str, dict[str, float]]:
    """Seconds of planning, and of sending and ending for each engine; Ray starts a cluster on this machine."""
    from benchmark.runs.clusters.slurm_cluster import SlurmCluster

    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.monotonic()
        cells = plan("glue", "small", ROWS, ["sst2", "mrpc"], range(SEEDS))[:CELLS]
        todo = with_needed(cells, Store(folder, "glue", "small"))
        jobs = [Job(identity(cell), folder, 0, None, False, cell.key, "", 1) for cell in todo]
        found["planning"] = {"cells": len(jobs), "seconds": round(time.monotonic() - began, 3)}
        found["ray"] = sending(_ray(), jobs)
        found["submitit, local"] = sending(SlurmCluster("local", Resources(), folder, nothing), jobs[:8])
    return found


def _ray() -> Cluster:
    import ray

    from benchmark.runs.clusters.ray_cluster import RayCluster

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    return RayCluster("", Resources(), nothing)


def sending(cluster: Cluster, jobs: list[Job]) -> dict[str, float]:
    """Seconds to send jobs, and for each of them until all have ended."""
    began = time.monotonic()
    handles = cluster.submit(jobs)
    sent = time.monotonic() - began
    while not all(cluster.ended(handles)):
        time.sleep(0.05)
    each = (time.monotonic() - began) / len(jobs)
    return {"cells": len(jobs), "sending_seconds": round(sent, 3), "seconds_a_cell": round(each, 4)}


if __name__ == "__main__":
    started, figures = now(), measure()
    write_facts(Path("results/bench/clusters.json"), started, figures)
    sys.stdout.write("".join(f"{name}: {values}\n" for name, values in figures.items()))
