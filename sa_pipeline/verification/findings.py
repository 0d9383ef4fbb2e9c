"""What a verification finds: sentences for people, counts, and whether all is well."""

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict


class FindingKind(enum.StrEnum):
    """What a finding means for whoever uses the dataset."""

    DAMAGED = "damaged"
    """Bytes or values are not those that were written, or contradict each other."""
    MISSING = "missing"
    """A file that another one, or the ledger, speaks of is not there."""
    STALE = "stale"
    """Whole, but made from other inputs, settings, weights or rules than those of now."""
    UNEXPLAINED = "unexplained"
    """Whole as far as can be told, but nothing here says where it comes from or whether it is complete."""


FAULTS = (FindingKind.DAMAGED, FindingKind.MISSING)
"""Kinds with which a dataset is not well."""


class Finding(BaseModel):
    """One thing that is wrong.

    Attributes:
        kind: What it means.
        partition: The shard or round; empty where it is neither's.
        file: Path or URL.
        message: What is wrong, and what to do, in a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FindingKind
    partition: str
    file: str
    message: str

    def __str__(self) -> str:
        """The finding in one sentence."""
        return f"{self.file} {self.message}"


@dataclass
class Tally:
    """How much was looked at; `size` in bytes, images and masks those of the exports."""

    files: int = 0
    size: int = 0
    images: int = 0
    masks: int = 0

    def add(self, other: "Tally") -> None:
        """Adds what was looked at elsewhere."""
        self.files += other.files
        self.size += other.size
        self.images += other.images
        self.masks += other.masks


@dataclass(eq=False)
class PartReport:
    """What was found in one shard or round, which is looked at by itself.

    Attributes:
        partition: The shard or round.
        findings: In the order of the data.
        tally: How much was looked at.
        image_ids: (I,) int64, of the ledger where there is one, else of the export.
        mask_ids: (M,) int64, sorted: those whose image cannot be told from them, so that they may occur in other parts.
    """

    partition: str
    findings: list[Finding] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    image_ids: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    mask_ids: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def find(self, kind: FindingKind, file: str, message: str) -> None:
        """Adds a finding of this part."""
        self.findings.append(Finding(kind=kind, partition=self.partition, file=file, message=message))


class VerificationReport(BaseModel):
    """What was found in all.

    Attributes:
        place: Path or URL that was looked at.
        shards: Looked at.
        rounds: Of annotation, looked at.
        files: Read from the first to the last byte, or as far as they are there.
        size: Of these, in bytes.
        images: In the exports.
        masks: In the exports.
        seconds: Wall-clock time.
        findings: In the order of shards, then rounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str
    shards: int
    rounds: int
    files: int
    size: int
    images: int
    masks: int
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged or missing."""
        return not any(finding.kind in FAULTS for finding in self.findings)

    @property
    def counts(self) -> Counter[FindingKind]:
        """Number of findings of each kind."""
        return Counter(finding.kind for finding in self.findings)

    @property
    def verdict(self) -> str:
        """In a sentence, how the dataset is."""
        counts = self.counts
        told = ", ".join(f"{counts[kind]} {kind}" for kind in FindingKind if counts[kind])
        if not self.findings:
            return "Every digest, record and count is as it was written."
        if self.ok:
            return f"Nothing is damaged or missing; {told}."
        faults = sum(counts[kind] for kind in FAULTS)
        return f"{faults} fault{'s' if faults > 1 else ''}: {told}."

    @property
    def megabytes_per_second(self) -> float:
        """Of all files, 10**6 bytes a second."""
        return self.size / 1e6 / max(self.seconds, 1e-9)


def repeated(parts: Iterable[npt.NDArray[np.int64]]) -> list[int]:
    """Ids that occur more than once over all parts, sorted."""
    ids, times = np.unique(np.concatenate([np.zeros(0, np.int64), *parts]), return_counts=True)
    found: list[int] = ids[times > 1].tolist()
    return found
