"""Something is done once a module is imported: at once where it is there, later where it is not, and once."""

import subprocess
import sys

import pytest

from vtrans.hooks import after_import


def test_it_is_done_at_once_for_a_module_that_is_there():
    seen = []
    after_import("json", seen.append)
    assert seen == [sys.modules["json"]]


def test_it_is_done_when_the_module_comes_and_once(tmp_path, monkeypatch):
    (tmp_path / "made_for_a_hook.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen = []
    after_import("made_for_a_hook", lambda module: seen.append(module.value))
    assert seen == []
    import made_for_a_hook

    assert seen == [1] and made_for_a_hook.__file__.endswith("made_for_a_hook.py")
    del sys.modules["made_for_a_hook"]
    __import__("made_for_a_hook")
    assert seen == [1]


def test_a_module_that_does_not_exist_is_still_missing():
    after_import("no_such_module_anywhere", print)
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        __import__("no_such_module_anywhere")


def test_importing_the_package_imports_neither_torch_nor_transformers():
    code = "import sys, vtrans; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
