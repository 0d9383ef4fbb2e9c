"""What a stage reports, and the rule that a fresh file is not made again."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sa_pipeline.artifacts import ArtifactHeader, is_fresh, read_header
from sa_pipeline.storage import Storage


@dataclass(frozen=True)
class StageResult:
    """Outcome of one stage for one shard.

    Attributes:
        header: Header of the file that lies there now.
        reused: Whether the file was fresh, so that nothing was done.
        seconds: Wall-clock time.
    """

    header: ArtifactHeader
    reused: bool
    seconds: float


def make_unless_fresh(
    storage: Storage, expected: ArtifactHeader, make: Callable[[ArtifactHeader], None]
) -> StageResult:
    """Calls `make` with the expected header unless a file with the same provenance lies there already."""
    started = time.monotonic()
    reused = is_fresh(storage, expected)
    if not reused:
        make(expected)
    header = read_header(storage, expected.asset, expected.partition)
    assert header is not None  # noqa: S101  # just published
    return StageResult(header, reused, time.monotonic() - started)
