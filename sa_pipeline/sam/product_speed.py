"""Whether this CPU multiplies matrices of 16-bit numbers, or imitates it."""

import functools
import timeit

import torch

from sa_pipeline.errors import SettingsError

_IMITATED = 10.0
"""A product that takes this many times as long as in float32 is imitated: CPUs with instructions for it take 0.4 to 2
times as long, one without took a hundred times."""
_SIDE = 256


def require_products(dtype: torch.dtype, device: torch.device, *, setting: str) -> None:
    """Refuses 16-bit products on a CPU that would imitate them.

    Args:
        dtype: Of the matrices.
        device: Only a CPU is asked.
        setting: What the user calls it, for the message.

    Raises:
        SettingsError: The CPU has no instructions for them.
    """
    if is_imitated(dtype, device):
        raise SettingsError(
            f"{setting}: this CPU has no instructions for {str(dtype).removeprefix('torch.')}, whose products take "
            f"{times_as_long(dtype):.0f} times as long on it as those of float32; choose float32."
        )


def is_imitated(dtype: torch.dtype, device: torch.device | str = "cpu") -> bool:
    """Whether the device is a CPU without instructions for products of matrices of a dtype."""
    return torch.device(device).type == "cpu" and times_as_long(dtype) >= _IMITATED


@functools.cache
def times_as_long(dtype: torch.dtype) -> float:
    """How many times as long as in float32 a product of matrices takes on this CPU; measured once in a process."""
    return 1.0 if dtype == torch.float32 else _seconds(dtype) / _seconds(torch.float32)


def _seconds(dtype: torch.dtype) -> float:
    matrix = torch.ones(_SIDE, _SIDE, dtype=dtype)
    matrix @ matrix  # the first one also prepares the library
    # The least of several, so that other work on the machine makes neither dtype look slow.
    return min(timeit.repeat(lambda: matrix @ matrix, number=1, repeat=5))
