"""What is kept of a table's rows while they pass by: counts, and digests of the ids that other files must have too."""

import hashlib
from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from sa_pipeline.artifacts import AssetName
from sa_pipeline.generation.columns import integers
from sa_pipeline.generation.verdicts import count_verdicts


class Rows:
    """Of a file of a shard.

    Attributes:
        counts: Those of the header that rows alone give.
        identities: Of `raw_images`, what the ledger says too: image_id, source_uri and sha256.
    """

    def __init__(self) -> None:
        """Begins with no row."""
        self.counts: Counter[str] = Counter()
        self.identities: list[tuple[int, str, str | None]] = []
        self._taken, self._given = hashlib.sha256(), hashlib.sha256()

    @property
    def taken(self) -> str:
        """Digest of the ids that were taken from the file before."""
        return self._taken.hexdigest()

    @property
    def given(self) -> str:
        """Digest of the ids that the file after takes."""
        return self._given.hexdigest()

    def look(self, group: pa.Table) -> None:
        """Takes a row group."""
        raise NotImplementedError

    def pass_on(self, taken: pa.Table, given: pa.Table, ids: str) -> None:
        """Remembers the ids in a column of rows."""
        self._taken.update(integers(taken, ids).tobytes())
        self._given.update(integers(given, ids).tobytes())


class _RawImages(Rows):
    def look(self, group: pa.Table) -> None:
        rows = group.select(["image_id", "source_uri", "sha256", "status", "reason"])
        for row in rows.to_pylist():
            self.counts.update(["files", row["status"]])
            if row["reason"] is not None:
                self.counts[f"rejected_{row['reason']}"] += 1
            self.identities.append((row["image_id"], row["source_uri"], row["sha256"]))
        self.pass_on(rows, rows.filter(pc.equal(rows["status"], "ok")), "image_id")


class _Deidentified(Rows):
    def look(self, group: pa.Table) -> None:
        for row in group.select(["faces", "license_plates", "found_again"]).to_pylist():
            self.counts.update(row | {"images": 1, "changed": int(row["faces"] + row["license_plates"] > 0)})
        self.pass_on(group, group, "image_id")


class _Embeddings(Rows):
    def look(self, group: pa.Table) -> None:
        self.counts["images"] += group.num_rows
        self.pass_on(group, group, "image_id")


class _Candidates(Rows):
    def look(self, group: pa.Table) -> None:
        self.counts["candidates"] += group.num_rows
        self.pass_on(group, group, "mask_id")


class _Verdicts(Rows):
    def look(self, group: pa.Table) -> None:
        self.counts.update(count_verdicts(group))
        self.counts["candidates"] += group.num_rows
        self.pass_on(group, group.filter(group["kept"]), "mask_id")


class _Deduplicated(Rows):
    def look(self, group: pa.Table) -> None:
        self.counts.update(count_verdicts(group))
        self.counts["masks"] += group.num_rows
        self.pass_on(group, group, "mask_id")


def looks_of_shard() -> Mapping[AssetName, Rows]:
    """A new one for each file of a shard that has rows."""
    return {
        AssetName.RAW_IMAGES: _RawImages(),
        AssetName.DEIDENTIFIED_IMAGES: _Deidentified(),
        AssetName.IMAGE_EMBEDDINGS: _Embeddings(),
        AssetName.CANDIDATE_MASKS: _Candidates(),
        AssetName.FILTERED_MASKS: _Verdicts(),
        AssetName.DEDUPLICATED_MASKS: _Deduplicated(),
    }
