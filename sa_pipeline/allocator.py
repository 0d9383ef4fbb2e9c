"""Memory that is freed stays with the process, since the model's arrays are freed and asked for again all the time.

By default glibc gives every large array back to the system when it is freed; the next one of the same size is then
cleared and mapped page by page. In the mask decoder that is a third of the time.
"""

import ctypes

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tells the C library to keep what is freed, for the rest of the process; its peak does not grow by this.

    Returns:
        Whether the library could be told; only glibc knows these settings.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, NEVER)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
