"""Where rows come from: the hub, files of the user's, or a Python package. A task names its source."""

from benchmark.tasks.sources.base import Place, Rows, Source
from benchmark.tasks.sources.files import Files
from benchmark.tasks.sources.hub import Hub
from benchmark.tasks.sources.package import Reviews

__all__ = ["Files", "Hub", "Place", "Reviews", "Rows", "Source"]
