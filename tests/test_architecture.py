"""The shape of the code: imports point one way, functions stay short, public ones are documented."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each room may import from those before it, and no other: of all packages, and inside each.
ORDER = {
    "vtrans": [
        "errors",
        "heap",
        "locks",
        "signals",
        "ranks",
        "hooks",
        "dropping",
        "settings",
        "selectors",
        "overrides",
        "forecast",
        "anatomy",
        "data",
        "teaching",
        "pruning",
        "tokens",
        "training",
        "objectives",
        "saving",
        "deploy",
        "methods",
        "run_folder",
        "api",
    ],
    "baselines": [
        "parts",
        "cofi",
        "distilbert",
        "infor_coef",
        "one_shot",
        "fisher",
        "lora",
        "torch_pruning",
        "power_bert",
        "ltp",
        "tinybert",
        "transkimmer",
        "widths",
    ],
    "benchmark": [
        "common",
        "measure",
        "tasks",
        "models",
        "grid",
        "records",
        "statistics",
        "runs",
        "reports",
        "commands",
        "cli",
        "overhead",
        "__main__",
    ],
}
PACKAGES = tuple(ORDER)
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(tree: ast.AST) -> set[str]:
    """Modules of our own that a file imports anywhere in it, for types alone too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    known = {name_of(path) for path in MODULES}
    owned = {name if name in known else name.rpartition(".")[0] for name in names}
    return {name for name in owned if name in known}


def rank(name: str) -> tuple[int, int]:
    """Place of a module's room: of its package, and in it; the package itself comes after all its rooms."""
    package, _, rest = name.partition(".")
    room = rest.split(".")[0]
    return PACKAGES.index(package), ORDER[package].index(room) if rest else len(ORDER[package])


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module(path):
    tree = ast.parse(path.read_text())
    own = rank(name_of(path))
    assert not {name for name in imported(tree) if rank(name) > own}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 80, node.name
            assert node.name.startswith("_") or ast.get_docstring(node) or is_nested(tree, node), node.name


def is_nested(tree: ast.AST, function: ast.FunctionDef) -> bool:
    outer = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n is not function]
    return any(function in ast.walk(n) for n in outer)


def test_no_import_goes_in_a_circle_not_even_for_types():
    graph = {name_of(path): imported(ast.parse(path.read_text())) - {name_of(path)} for path in MODULES}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError, and names the circle


def test_tests_mirror_the_rooms():
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.relative_to(ROOT / "tests").parent
        assert (ROOT / folder).is_dir(), f"{path} mirrors no room"


def test_command_line_starts_without_torch():
    code = "import sys; import benchmark.cli as c; c.listing(c.Listing.METHODS); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"
