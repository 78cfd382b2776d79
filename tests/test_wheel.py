"""A wheel holds every file of the packages that git holds: claims, templates, styles, type markers."""

import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("vtrans", "baselines", "benchmark")


def test_a_wheel_holds_all_files_of_the_packages(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="needs the extra `test`")
    (path,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no clone")
    names = set(zipfile.ZipFile(path).namelist())
    tracked = [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    assert any(name.endswith(".toml") for name in tracked) and any(name.endswith(".css") for name in tracked)
    assert not [name for name in tracked if name not in names]
