"""Whether a process of this machine still exists."""

import os


def is_running(pid: int) -> bool:
    """Whether a process with that number exists; another user's counts too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
