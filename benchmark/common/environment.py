"""Settings of libraries that have to be made before they are loaded."""

import os

# oneDNN keeps compiled kernels for up to 1,024 shapes, and every length of a batch makes new ones: a hundred megabytes
# and more in training MiniLM-L6. The bound costs no time where layers are of one width. Where they are not, as in what
# VTrans and CoFi leave, a step in bf16 took 1.32 times as long: 129 against 97 ms, means of 40 steps, twice in turns.
KERNELS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128"}


def bound_kernel_cache() -> None:
    """Bound oneDNN's cache of kernels, where the user has not done so; of no effect once torch has computed."""
    for name, value in KERNELS.items():
        os.environ.setdefault(name, value)
