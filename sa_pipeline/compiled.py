"""Functions compiled by numba."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Compiles `function` when it is first called, without the interpreter's lock, and keeps the result on disk."""
    try:
        return numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written: compile in each process
        return numba.njit(nogil=True, **options)(function)
