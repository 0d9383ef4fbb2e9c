"""The human side: snapshots, training sets, audits and pre-filled masks of annotation rounds, and their detectors."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from sa_pipeline.artifacts import SCHEMA_VERSIONS, ArtifactHeader, RoundAssetName, artifact_name, list_partitions
from sa_pipeline.dataset import Dataset
from sa_pipeline.detection.record import read_detector_record
from sa_pipeline.detection.record import weights_file as detector_weights
from sa_pipeline.errors import ArtifactError
from sa_pipeline.generation.columns import boxes, integers
from sa_pipeline.masks.many_rles import measure_masks
from sa_pipeline.quality.audit import pairs_are_of_the_snapshot
from sa_pipeline.quality.outcome import CheckOutcome
from sa_pipeline.quality.training_sets import held_out_never_trained_on, human_masks_all_there
from sa_pipeline.verification.contents import verify_content
from sa_pipeline.verification.findings import FindingKind, PartReport

TABLES = (
    RoundAssetName.PREFILLED_MASKS,
    RoundAssetName.HUMAN_MASKS,
    RoundAssetName.HUMAN_MASK_EVENTS,
    RoundAssetName.TRAINING_SET,
    RoundAssetName.MASK_QUALITY_AUDIT,
)
"""Assets of a round that are tables, in the order of the data."""

MADE_FROM: Mapping[RoundAssetName, tuple[RoundAssetName, ...]] = {
    RoundAssetName.TRAINING_SET: (RoundAssetName.HUMAN_MASKS,),
    RoundAssetName.MASK_QUALITY_AUDIT: (RoundAssetName.HUMAN_MASKS, RoundAssetName.HUMAN_MASK_EVENTS),
}
"""Files of the same round that a header names the digests of."""

CHECKS: Mapping[RoundAssetName, tuple[Callable[[Dataset, str], CheckOutcome], ...]] = {
    RoundAssetName.TRAINING_SET: (human_masks_all_there, held_out_never_trained_on),
    RoundAssetName.MASK_QUALITY_AUDIT: (pairs_are_of_the_snapshot,),
}
"""What must hold between a file that is fresh and those that it was made from."""

_MASK_COLUMNS = {"mask_id", "counts", "size", "area", "bbox"}


def list_annotation_rounds(dataset: Dataset) -> list[str]:
    """Rounds of which a table or a detector lies there, sorted."""
    assets = (*TABLES, RoundAssetName.OBJECT_DETECTOR)
    return sorted({name for asset in assets for name in list_partitions(dataset.storage, asset)})


def verify_round(dataset: Dataset, round_name: str) -> PartReport:
    """Looks at the tables of a round, and at its detector.

    Raises:
        StorageError: The storage cannot be reached.
    """
    report = PartReport(round_name)
    headers: dict[RoundAssetName, ArtifactHeader] = {}
    for asset in TABLES:
        if not dataset.storage.exists(artifact_name(asset, round_name)):
            continue
        rows = _Rows()
        header = verify_content(dataset.storage, asset, round_name, report, _remedy(asset, round_name), rows.look)
        if header is None:
            continue
        headers[asset] = header
        for problem in rows.problems(header):
            _find(dataset, report, FindingKind.DAMAGED, asset, problem)
        if asset is RoundAssetName.HUMAN_MASKS:
            report.mask_ids = rows.mask_ids
    for asset, header in headers.items():
        _relate(dataset, report, asset, header, headers)
    _verify_detector(dataset, round_name, report)
    return report


@dataclass
class _Rows:
    """Rows of masks while they pass by."""

    rows: int = 0
    wrong: list[int] = field(default_factory=list)
    parts: list[np.ndarray] = field(default_factory=list)

    def look(self, group: pa.Table) -> None:
        self.rows += group.num_rows
        if not set(group.column_names) >= _MASK_COLUMNS or group["counts"].null_count:
            return  # changes of masks, and pairs of them
        measured = measure_masks(group["counts"].to_pylist(), boxes(group, "size"))
        right = measured.sound & (measured.areas == integers(group, "area"))
        right &= (measured.boxes == boxes(group, "bbox")).all(axis=1)
        ids = integers(group, "mask_id")
        self.wrong += ids[~right].tolist()
        self.parts.append(ids)

    @property
    def mask_ids(self) -> np.ndarray:
        return np.sort(np.concatenate([np.zeros(0, np.int64), *self.parts]))

    def problems(self, header: ArtifactHeader) -> Iterator[str]:
        if self.wrong:
            yield f"has {len(self.wrong)} masks that do not decode to their area and box, the first {self.wrong[0]}"
        told = header.counts.get("masks", header.counts.get("events"))
        if told is not None and told != self.rows:
            yield f"says {told} rows in its header and holds {self.rows}"


def _relate(
    dataset: Dataset,
    report: PartReport,
    asset: RoundAssetName,
    header: ArtifactHeader,
    headers: Mapping[RoundAssetName, ArtifactHeader],
) -> None:
    """Holds a file against those of the same round that it was made from."""
    if header.schema_version != SCHEMA_VERSIONS[asset]:
        _find(dataset, report, FindingKind.STALE, asset, "is whole and stale: it was made by earlier rules")
        return
    for name in MADE_FROM.get(asset, ()):
        source = headers.get(name)
        if source is None:
            if not dataset.storage.exists(artifact_name(name, report.partition)):
                _find(dataset, report, FindingKind.MISSING, name, f"is missing, from which {asset} was made")
            return
        if header.inputs.get(name.value) != source.content_digest:
            reason = f"it was made from another {name} than the one that lies here"
            _find(dataset, report, FindingKind.STALE, asset, f"is whole and stale: {reason}")
            return
    for check in CHECKS.get(asset, ()):
        try:
            outcome = check(dataset, report.partition)
        except ArtifactError:
            continue  # a damaged file of another round, which is told there
        if not outcome.passed:
            _find(dataset, report, FindingKind.DAMAGED, asset, f"does not hold to its rule ({outcome.summary})")


def _verify_detector(dataset: Dataset, round_name: str, report: PartReport) -> None:
    storage, asset = dataset.storage, RoundAssetName.OBJECT_DETECTOR
    name = artifact_name(asset, round_name)
    if not storage.exists(name):
        return
    data = storage.read_bytes(name)
    report.tally.files += 1
    report.tally.size += len(data)
    try:
        record = read_detector_record(storage, round_name)
    except ArtifactError as error:
        _find(dataset, report, FindingKind.DAMAGED, asset, f"is damaged ({error})")
        return
    if record is None:
        return
    if record.model_dump_json(indent=2).encode() != data or record.header.content_digest != record.digest:
        _find(dataset, report, FindingKind.DAMAGED, asset, "is written otherwise than this program writes it")
    weights = detector_weights(round_name)
    if not storage.exists(weights):
        report.find(FindingKind.MISSING, storage.url_of(weights), f"is missing; {_remedy(asset, round_name)}.")
        return
    report.tally.files += 1
    report.tally.size += storage.size(weights)
    if storage.digest(weights) != record.digest:
        message = f"has another SHA-256 than the one that was trained; {_remedy(asset, round_name)}."
        report.find(FindingKind.DAMAGED, storage.url_of(weights), message)


def _remedy(asset: RoundAssetName, round_name: str) -> str:
    if asset in (RoundAssetName.HUMAN_MASKS, RoundAssetName.HUMAN_MASK_EVENTS):
        return f"delete it and snapshot the round again: sa-pipeline annotations snapshot --round {round_name}"
    return f"delete it and materialize {asset} of {round_name} again"


def _find(dataset: Dataset, report: PartReport, kind: FindingKind, asset: RoundAssetName, message: str) -> None:
    remedy = _remedy(asset, report.partition)
    if kind is not FindingKind.DAMAGED:
        remedy = remedy.removeprefix("delete it and ")
    report.find(kind, dataset.storage.url_of(artifact_name(asset, report.partition)), f"{message}; {remedy}.")
