"""Who, where and with what a run was made."""

import hashlib
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark.common.digests import package_folder
from benchmark.records.schema import Provenance

PACKAGES = ("torch", "transformers", "datasets", "evaluate", "fvcore", "numpy", "scikit-learn", "scipy", "safetensors")
ROOT = Path(__file__).resolve().parents[2]
PARTS = ("vtrans", "baselines", "benchmark")  # packages of the suite


def now() -> str:
    """UTC time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def code() -> tuple[str, bool]:
    """Commit of the code that runs, and whether it was changed since. Asked first when a process begins its work:

    later, the folder may hold another commit than the one that was loaded.
    """
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *PARTS)
    return _git("rev-parse", "HEAD") or "unknown", bool(changed)


@cache
def source_digest() -> str:
    """sha256 of all files of the suite's packages, which two machines that run the same have alike."""
    found = hashlib.sha256()
    for package in PARTS:
        folder = package_folder(package, "pip install vtrans-bench")
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".toml")):
            found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()


def provenance(started: str) -> Provenance:
    """Provenance of a run that started at `started` and ends now."""
    commit, dirty = code()
    return Provenance(
        git_commit=commit,
        git_dirty=dirty,
        versions=versions(),
        hardware=hardware(),
        started=started,
        finished=now(),
    )


def versions() -> dict[str, str]:
    """Of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{name: installed_version(name) for name in PACKAGES}}


def hardware() -> dict[str, Any]:
    """Processor, accelerator and threads."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open() as stream:
            return next(line.split(":", 1)[1].strip() for line in stream if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    """Output of git in the folder that holds the packages, empty where there is no git."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def installed_version(name: str) -> str:
    """Version of an installed distribution, or `not installed`."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
