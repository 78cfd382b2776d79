"""Which precision a device is given, and what a forced one says."""

import pytest
import torch

from vtrans.errors import SuiteError
from vtrans.training import precision
from vtrans.training.precision import check_precision, has_bf16_units, matmul_rate, resolve

CPU = torch.device("cpu")


@pytest.fixture
def units(monkeypatch):
    """Makes the CPU one with or without bf16 units, at a ratio of times."""

    def make(capability: str, slowdown: float) -> None:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
        monkeypatch.setattr(precision, "slowdown", lambda kind, used: slowdown)
        monkeypatch.setattr(precision, "has_bf16_units", has_bf16_units.__wrapped__)

    return make


@pytest.mark.parametrize(
    ("capability", "slowdown", "used"), [("AVX512", 0.3, "bf16"), ("AVX512", 8.0, "fp32"), ("AVX2", 0.3, "fp32")]
)
def test_auto_is_bf16_where_capability_and_product_agree(units, capability, slowdown, used):
    units(capability, slowdown)
    assert resolve("auto", CPU) == used
    assert [resolve(forced, CPU) for forced in ("bf16", "fp16", "fp32")] == ["bf16", "fp16", "fp32"]


def test_a_forced_precision_that_is_emulated_warns_with_the_measured_ratio(units):
    units("AVX2", 50.04)
    assert "50.0 times as long" in check_precision("bf16", CPU)
    assert not check_precision("auto", CPU)
    units("AVX512", 0.3)
    assert not check_precision("bf16", CPU)


def test_a_precision_that_the_device_lacks_is_refused(monkeypatch):
    def lacking(kind, used):
        raise RuntimeError('"addmm_impl" not implemented for half\nmore')

    monkeypatch.setattr(precision, "slowdown", lacking)
    with pytest.raises(SuiteError, match="cpu cannot compute in fp16"):
        check_precision("fp16", CPU)
    with pytest.raises(SuiteError, match="precision 'int8' is not known"):
        check_precision("int8", CPU)


def test_the_rate_of_a_product_counts_two_per_multiply_accumulate():
    assert matmul_rate("cpu", "fp32", (64, 64, 64)) > 1e6
