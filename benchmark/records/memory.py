"""Peak memory of one run, not of the process that ran others before it."""

from pathlib import Path

RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class PeakMemory:
    """Peaks since it was made: of the host's memory, and of the GPU's where there is one."""

    def __init__(self) -> None:
        self._reset = _reset_host()
        _cuda_reset()

    def host(self) -> int | None:
        """Bytes resident in the host's memory at most; None where the system cannot start the count anew."""
        if not self._reset:
            return None
        line = next((line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")), "")
        return int(line.split()[1]) * 1024 if line else None

    def device(self) -> int | None:
        """Bytes allocated on the GPU at most; None without one."""
        import torch

        return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _reset_host() -> bool:
    """Let Linux start the high-water mark anew."""
    try:
        RESET.write_text("5")
    except OSError:
        return False
    return STATUS.exists()


def _cuda_reset() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
