"""The device that runs take place on, and the precision that metrics are computed in there."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from vtrans.settings import Precision


def autocast(precision: "Precision") -> "torch.autocast":
    """Context in which metrics are computed in a precision, or in what `auto` means on the device."""
    import torch

    from vtrans.training.precision import DTYPES, resolve

    used = resolve(precision, device())
    return torch.autocast(device().type, dtype=DTYPES[used] if used != "fp32" else None, enabled=used != "fp32")


def device() -> "torch.device":
    """Where runs take place: the first GPU where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
