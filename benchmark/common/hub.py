"""Whether the Hugging Face hub is in reach, asked once and answered within seconds."""

import os
import socket
from functools import cache
from urllib.parse import urlsplit

from vtrans.errors import SuiteError

SECONDS = 3.0


def refuse_offline(name: str, remedy: str, dataset: bool = False, repository: str = "", revision: str = "") -> None:
    """Raise `SuiteError` at once where the hub is out of reach: its client would try again for half a minute.

    Args:
        name: what is asked for, for people.
        remedy: what to do instead.
        dataset: data sets are cached in a form of their own, and are left to their library where any is cached.
        repository, revision: a model, which may be cached whole.
    """
    if _cached(dataset, repository, revision) or reachable():
        return
    raise SuiteError(f"{name} cannot be fetched: the Hugging Face hub is out of reach", remedy)


def _cached(dataset: bool, repository: str, revision: str) -> bool:
    if dataset:
        from datasets import config

        cache_folder = config.HF_DATASETS_CACHE
        return cache_folder.is_dir() and any(cache_folder.iterdir())
    from huggingface_hub import try_to_load_from_cache

    try:
        return isinstance(try_to_load_from_cache(repository, "config.json", revision=revision or None), str)
    except ValueError:  # a name that no repository can have
        return False


@cache
def reachable() -> bool:
    """Whether a connection to the hub, or to the proxy that leads to it, opens within seconds."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return False
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or ""
    parts = urlsplit(proxy or os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=SECONDS):
            return True
    except OSError:
        return False
