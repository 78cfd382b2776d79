"""The shape of the code: imports point one way, functions stay short, public ones are documented."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ["vtrans", "baselines", "benchmark"]
MODULES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def imports(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module(path):
    tree = ast.parse(path.read_text())
    rank = LAYERS.index(path.relative_to(ROOT).parts[0])
    assert not imports(tree) & set(LAYERS[rank + 1 :])
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 80, node.name
            assert node.name.startswith("_") or ast.get_docstring(node) or is_nested(tree, node), node.name


def is_nested(tree: ast.AST, function: ast.FunctionDef) -> bool:
    outer = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n is not function]
    return any(function in ast.walk(n) for n in outer)


def test_command_line_starts_without_torch():
    import subprocess
    import sys

    code = "import sys; import benchmark.cli as c; c.listing(c.Listing.METHODS); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"
