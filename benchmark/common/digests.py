"""Digests: of files, of a model's weights, and of a configuration, which names its runs."""

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

from vtrans.errors import SuiteError


def key_of(config: dict[str, Any]) -> str:
    """Run key of a config: 16 hexadecimal digits of its sha256."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def package_folder(package: str, install: str) -> Path:
    """Folder of an installed package, found without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SuiteError(f"package {package} is not installed", f"run `{install}`")
    return Path(next(iter(found.submodule_search_locations)))


def check_digest(path: Path, sha256: str) -> None:
    """Raise `SuiteError` where `path` is missing or not the file with that digest."""
    if not path.exists():
        raise SuiteError(f"{path} is missing", "install the package again")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != sha256:
        raise SuiteError(
            f"{path.name} of {path.parent} has sha256 {digest[:12]}, not the pinned {sha256[:12]}",
            "install the pinned version",
        )


def weights_digest(folder: Path) -> str:
    """sha256 of a model's weights, over the digests of its files where there are several; empty without any."""
    digests = []
    for path in sorted(folder.glob("model*.safetensors")):
        with path.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest() if digests else ""
