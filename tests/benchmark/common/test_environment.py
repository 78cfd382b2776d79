"""What is set for libraries gives way to what the user has set."""

from benchmark.common.environment import KERNELS, bound_kernel_cache


def test_a_users_own_bound_stays(monkeypatch):
    name, value = next(iter(KERNELS.items()))
    monkeypatch.delenv(name, raising=False)
    bound_kernel_cache()
    import os

    assert os.environ[name] == value
    monkeypatch.setenv(name, "7")
    bound_kernel_cache()
    assert os.environ[name] == "7"
