"""The precision that a device computes fast in: bf16 where it has units for it, fp32 elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal, cast

import torch

from vtrans.errors import SuiteError
from vtrans.settings import PRECISIONS, Precision

Used = Literal["bf16", "fp16", "fp32"]
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
SHAPE = (256, 384, 384)  # of the confirming product: 1.4 ms at 55 GFLOP/s
LARGE = {"cpu": (512, 768, 3072), "cuda": (8192, 8192, 8192)}  # of the product that rates a machine
CONFIRMED = 0.8  # share of the fp32 rate that bf16 reaches at least where there are units for it


def resolve(asked: Precision, device: torch.device) -> Used:
    """What `asked` means on `device`: itself, or for `auto` bf16 where there are units for it and fp32 elsewhere."""
    if asked != "auto":
        return asked
    return "bf16" if has_bf16_units(device.type) else "fp32"


@cache
def has_bf16_units(kind: str) -> bool:
    """Whether devices of a kind (`cpu`, `cuda`) compute bf16 in hardware.

    CUDA says so itself. Of a CPU, torch's capability query tells of AVX512-BF16 and AMX; one short product confirms
    it, because a kernel may be switched off that the processor has.
    """
    if kind == "cuda":
        found: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return found
    if kind != "cpu" or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    units = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return units and slowdown(kind, "bf16") * CONFIRMED < 1


@contextmanager
def autocast(used: Used, device: torch.device) -> Iterator[None]:
    """Compute in a precision inside the context; nothing to do for fp32."""
    enabled = used != "fp32"
    with torch.autocast(device.type, dtype=DTYPES[used] if enabled else None, enabled=enabled):
        yield


@cache
def slowdown(kind: str, precision: Used) -> float:
    """Time of a matrix product in `precision` over that in fp32, measured on this machine."""
    return matmul_rate(kind, "fp32", SHAPE) / matmul_rate(kind, precision, SHAPE)


@cache
def matmul_rate(kind: str, precision: Used, shape: tuple[int, int, int] | None = None) -> float:
    """FLOP/s (two per multiply-accumulate) of a matrix product `(m, k) x (k, n)`: the best of five."""
    m, k, n = shape or LARGE.get(kind, LARGE["cpu"])
    left, right = (torch.ones(size, dtype=DTYPES[precision], device=kind) for size in ((m, k), (k, n)))
    times = []
    for _ in range(6):
        start = time.perf_counter()
        left @ right
        if kind == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2.0 * m * k * n / min(times[1:])


def check_precision(asked: str, device: torch.device) -> str:
    """Check a precision that a user forces.

    Returns:
        A warning with the measured ratio where the device only emulates it; else an empty text.

    Raises:
        SuiteError: the name is unknown, or the device cannot compute in it at all.
    """
    if asked not in PRECISIONS:
        raise SuiteError(f"precision {asked!r} is not known", f"give {', '.join(PRECISIONS)}")
    if asked in ("auto", "fp32"):
        return ""
    used = cast("Used", asked)
    try:
        ratio = slowdown(device.type, used)
    except RuntimeError as error:  # torch has no kernel for it
        first = str(error).splitlines()[0]
        raise SuiteError(f"{device.type} cannot compute in {asked} ({first})", "give auto or fp32") from None
    if ratio * CONFIRMED < 1:
        return ""
    return f"{asked} is emulated on this {device.type}: a matrix product takes {ratio:.1f} times as long as in fp32"
