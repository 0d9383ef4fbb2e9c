"""Whether a process of this machine still exists."""

import contextlib
import os
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether a process with that number exists and has not ended; another user's counts too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):  # without /proc, one that ended counts until its parent asks for its status
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    return True
