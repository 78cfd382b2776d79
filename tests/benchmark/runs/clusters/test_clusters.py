"""Real clusters of this machine: two workers of Ray, one of which is killed, and submitit's local executor."""

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import launched
import pytest

from benchmark.commands import run as command
from benchmark.commands.run import How, run
from benchmark.commands.selection import Selection
from benchmark.records.provenance import source_digest
from benchmark.runs.clusters.base import Resources
from benchmark.runs.clusters.job import FAILED, Job, run_job
from vtrans.errors import RunCancelled, SuiteError

TESTS = Path(__file__).parents[3]
ROWS = "dense,random-s50,VTrans-s50"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A grid of tiny models, and what one process makes of it."""
    folder = tmp_path_factory.mktemp("clusters")
    launched.make(folder)
    rows = folder / "data" / "sst2"
    rows.mkdir(parents=True)
    for split, count in (("train", 60), ("validation", 20)):
        lines = [{"sentence": f"a {launched.WORDS[i % 8]} film {i}", "label": int(i % 8 < 4)} for i in range(count)]
        (rows / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    paths = os.pathsep.join(str(path) for path in (TESTS.parent, TESTS))
    with launched.registered(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", paths)
        patch.setenv("TINY_FOLDER", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        run(selection(folder, "one"), How(folder / "data", timed=False))
        yield folder


def selection(folder: Path, root: str) -> Selection:
    return Selection("glue", "tiny", folder / root, ROWS, "sst2", "0")


def metrics(folder: Path, root: str):
    store, cells = selection(folder, root).grid()
    records = store.complete(cells)
    assert len(records) == len(cells)
    return [(cell.name, records[cell].outcome.metrics, records[cell].outcome.parameters) for cell in cells]


def use(monkeypatch, cluster) -> None:
    """Let the command send its jobs there, to workers that know the tiny preset."""
    monkeypatch.setattr(command, "connect", lambda store, how: cluster)


@pytest.fixture(scope="module")
def ray_address(folder):
    """A cluster of two workers of one core each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster.address
    import ray

    ray.shutdown()
    cluster.shutdown()


def test_ray_makes_the_records_of_one_process_though_a_worker_is_killed(folder, ray_address, monkeypatch, capfd):
    from benchmark.runs.clusters.ray_cluster import RayCluster

    (folder / "die").write_text("VTrans-s50")
    use(monkeypatch, RayCluster(ray_address, Resources(), launched.run_job))
    run(selection(folder, "ray"), How(folder / "data", timed=False, launcher="ray"))
    assert metrics(folder, "ray") == metrics(folder, "one")
    assert not (folder / "die").exists()
    err = capfd.readouterr().err
    assert "VTrans-s50--validation--seed0: its worker ended" in err and "3 done" in err


def test_submitit_makes_the_records_of_one_process(folder, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    from benchmark.runs.clusters.slurm_cluster import SlurmCluster

    use(monkeypatch, SlurmCluster("local", Resources(), tmp_path, launched.run_job))
    run(selection(folder, "slurm"), How(folder / "data", timed=False, launcher="slurm"))
    assert metrics(folder, "slurm") == metrics(folder, "one")


@pytest.mark.parametrize("which", ["ray", "slurm"])
def test_ctrl_c_lets_the_running_cell_write_its_checkpoint(folder, which, tmp_path, monkeypatch, request):
    (folder / "slow").write_text("dense")
    if which == "ray":
        from benchmark.runs.clusters.ray_cluster import RayCluster

        cluster = RayCluster(request.getfixturevalue("ray_address"), Resources(), launched.run_job)
    else:
        from benchmark.runs.clusters.slurm_cluster import SlurmCluster

        cluster = SlurmCluster("local", Resources(), tmp_path, launched.run_job)
    use(monkeypatch, cluster)
    root = f"stopped-{which}"
    store, cells = selection(folder, root).grid()

    def stop() -> None:
        """Once the cell trains."""
        end = time.monotonic() + 60
        while not list((store.folder / "work" / "live").glob("*.json")) and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(RunCancelled):
        run(selection(folder, root), How(folder / "data", timed=False, launcher=which))
    assert {store.state(cell) for cell in cells} == {"cancelled"}
    assert "stopped at step" in store.read(cells[0]).error
    assert list(store.work(cells[0]).glob("*.ckpt"))


def job(folder: Path, **more) -> Job:
    cell = ("glue", "tiny", "sst2", "dense", 0, "validation")
    made = Job(cell, folder / "alone", 0, folder / "data", False, source_digest(), "", 1)
    return replace(made, **more)


def test_a_worker_with_other_code_or_other_data_refuses(folder):
    assert run_job(job(folder, code="other")).startswith(f"{FAILED}a worker has another version of the suite")
    assert run_job(job(folder, data="other")).startswith(f"{FAILED}a worker has other data for sst2")


def test_the_command_of_a_cell_on_ranks_names_all_that_it_depends_on(folder):
    asked = job(folder, ranks=4, stage=3, offload="cpu", checkpointing=True).command()
    assert asked[1:5] == ["-m", "benchmark", "run", "glue"]
    for pair in (
        ("--methods", "dense"),
        ("--seeds", "0"),
        ("--ranks", "4"),
        ("--zero-stage", "3"),
        ("--offload", "cpu"),
    ):
        assert asked[asked.index(pair[0]) + 1] == pair[1]
    assert asked[-2:] == ["--gradient-checkpointing", "--no-latency"]


def test_what_is_missing_is_named(folder, tmp_path, monkeypatch):
    def refused(how: How, cause: str) -> None:
        with pytest.raises(SuiteError, match=cause):
            run(selection(folder, "none"), how)

    refused(How(launcher="rey"), "unknown launcher 'rey'; did you mean 'ray'")
    refused(How(cluster="here"), "are for cells elsewhere")
    refused(How(folder / "data", launcher="slurm"), "there is no Slurm here")
    for package in ("ray", "submitit"):
        monkeypatch.setitem(sys.modules, package, None)
    refused(How(folder / "data", launcher="ray"), r"package ray is not installed; run .*\[ray\]")
    refused(How(folder / "data", launcher="slurm"), "package submitit is not installed")
