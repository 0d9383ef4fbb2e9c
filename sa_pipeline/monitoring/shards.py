"""How far each shard is, from the headers of its files; looked at again only when there is a reason to."""

import enum
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sa_pipeline.artifacts import AssetName, CheckpointRef, read_header
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError, StorageError
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.provenance import Freshness, shard_freshness

SWEEP_SECONDS = 6 * 3600.0
"""After so long every shard is looked at again, for what Dagster does not know: files that a person removed or `retune`
made."""


class ShardState(enum.StrEnum):
    """How far a shard is; each is in one of these states."""

    COMPLETE = "complete"
    FAILED = "failed"
    STALE = "stale"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Examined:
    """What the headers of a shard's files say; images and masks are those of its export."""

    state: ShardState
    images: int
    masks: int


def examine(dataset: Dataset, shard: str, checkpoint: CheckpointRef) -> Examined:
    """Reads the headers of a shard's files; a shard with damaged ones is stale.

    Raises:
        StorageError: They cannot be read.
    """
    try:
        states = set(shard_freshness(dataset, shard, checkpoint).values())
        state = ShardState.COMPLETE
        if states != {Freshness.FRESH}:
            state = ShardState.MISSING if Freshness.MISSING in states else ShardState.STALE
        exported = None if state is ShardState.MISSING else read_header(dataset.storage, AssetName.SA1B_EXPORT, shard)
    except ArtifactError:
        return Examined(ShardState.STALE, 0, 0)
    counts = exported.counts if exported else {}
    return Examined(state, counts.get("images", 0), counts.get("masks", 0))


class ShardBook:
    """All shards of a dataset and what was last seen of each."""

    def __init__(self) -> None:
        self._examined: dict[str, Examined | None] = {}
        self._waiting: dict[str, None] = {}
        self._made_from: object = None
        self._swept_at = time.monotonic()

    @property
    def waiting(self) -> int:
        """Shards that are to be looked at."""
        return len(self._waiting)

    def notice(self, dataset: Dataset, checkpoint: CheckpointRef, changed: Iterable[str]) -> None:
        """Finds out which shards must be looked at: those that were changed, new ones, or all of them.

        Args:
            dataset: With the settings of now; other ones make files stale.
            checkpoint: The weights in use, likewise.
            changed: Shards of which Dagster says that something was made.
        """
        made_from = (dataset.settings.model_dump_json(), checkpoint)
        shards = list_shards(dataset.storage)
        if made_from != self._made_from or time.monotonic() - self._swept_at > SWEEP_SECONDS:
            self._made_from, self._swept_at = made_from, time.monotonic()
            self._waiting = dict.fromkeys(shards)
        # What was changed comes before a sweep that may take minutes.
        new = [shard for shard in shards if shard not in self._examined]
        self._waiting = {**dict.fromkeys(changed), **self._waiting, **dict.fromkeys(new)}
        self._examined = {shard: self._examined.get(shard) for shard in shards}

    def look(self, dataset: Dataset, checkpoint: CheckpointRef, seconds: float) -> None:
        """Looks at shards that wait, for so many seconds at most.

        Raises:
            StorageError: Files cannot be read; the shard is looked at again.
        """
        end = time.monotonic() + seconds
        while self._waiting and time.monotonic() < end:
            shard = next(iter(self._waiting))
            del self._waiting[shard]
            try:
                if shard in self._examined:
                    self._examined[shard] = examine(dataset, shard, checkpoint)
            except StorageError:
                self._waiting[shard] = None  # behind the others, which may be readable
                raise

    def count(self, failed: Collection[str]) -> Mapping[ShardState, int]:
        """Number of shards in each state.

        Args:
            failed: Shards whose last run failed; one that is complete all the same counts as complete.
        """
        counts = Counter(_state(shard, found, failed) for shard, found in self._examined.items())
        return {state: counts[state] for state in ShardState}

    def exported(self) -> tuple[int, int]:
        """Images and masks in the exports that were seen."""
        found = [each for each in self._examined.values() if each is not None]
        return sum(each.images for each in found), sum(each.masks for each in found)


def _state(shard: str, found: Examined | None, failed: Collection[str]) -> ShardState:
    if found is None:
        return ShardState.UNKNOWN
    if found.state is not ShardState.COMPLETE and shard in failed:
        return ShardState.FAILED
    return found.state
