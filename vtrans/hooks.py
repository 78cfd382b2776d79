"""Run something once a module of another package is imported, without importing it now."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def after_import(name: str, do: Callable[[Any], None]) -> None:
    """Call `do` with the module called `name`: at once where it is imported already, else when it is."""
    if name in sys.modules:
        do(sys.modules[name])
    else:
        sys.meta_path.insert(0, _Finder(name, do))


class _Finder(MetaPathFinder):
    """Finds one module as the other finders do, and has its loader call a function at the end, once.

    It may be asked for the module by somebody who does not import it then, so that it stays until the module is run.
    """

    def __init__(self, name: str, do: Callable[[Any], None]) -> None:
        self.name, self.do, self.asking = name, do, False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of that module alone."""
        if name != self.name or self.asking:
            return None
        self.asking = True
        try:
            spec = find_spec(name)
        finally:
            self.asking = False
        if spec and spec.loader:
            spec.loader = _Loader(spec.loader, self._done)
        return spec

    def _done(self, module: Any) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            self.do(module)


class _Loader(Loader):
    def __init__(self, loader: Any, do: Callable[[Any], None]) -> None:
        self.loader, self.do = loader, do

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader does."""
        found: ModuleType | None = self.loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then the function."""
        self.loader.exec_module(module)
        self.do(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)
