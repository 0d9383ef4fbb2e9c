"""Weights that rounds made, and the history of those in use: are the files there, and are they those that were made?"""

import io
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from sa_pipeline.artifacts import (
    AssetName,
    CheckpointRef,
    RoundAssetName,
    artifact_name,
    list_partitions,
    read_header,
    read_table,
)
from sa_pipeline.checkpoint_history import PROMOTIONS, promotion_in_use, read_promotions
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError, CheckpointError, MissingFileError
from sa_pipeline.round_checkpoints import (
    RECORD,
    TRAINED_ON,
    RoundCheckpoint,
    list_made_checkpoints,
    list_round_checkpoints,
    read_round_checkpoint,
)
from sa_pipeline.sam.registry import OFFICIAL, checkpoint_names, checkpoint_ref, registered_checkpoints
from sa_pipeline.schemas import TRAINED_MASKS
from sa_pipeline.verification.findings import FindingKind, PartReport
from sa_pipeline.verification.place import Place, list_export_shards
from sa_pipeline.verification.shards import Surroundings

WEIGHTS = "weights"
"""Stands for the partition of what is found here."""


def look_around(place: Place) -> Surroundings:
    """How far the shards were made, and all weights that are known here."""
    if place.alone:
        return Surroundings()
    made = [asset for asset in AssetName if list_partitions(place.storage, asset)]
    made_up_to = AssetName.SA1B_EXPORT if list_export_shards(place) or not made else made[-1]
    digests = {official.sha256 for official in OFFICIAL.values()}
    try:
        digests |= {checkpoint.sha256 for checkpoint in registered_checkpoints().values()}
    except CheckpointError:
        return Surroundings(made_up_to)  # a damaged record may be of the very weights that are looked for
    names = {*checkpoint_names(), place.dataset.settings.checkpoint}
    refs = {name: ref for name in sorted(names) if (ref := _ref(name)) is not None}
    digests |= {ref.digest for ref in refs.values()}
    for record in list_made_checkpoints(place.storage):
        digests |= {record.checkpoint.digest, record.parent.digest}
    in_use: CheckpointRef | None = None
    try:
        for change in read_promotions(place.storage).changes:
            digests |= {change.checkpoint.digest, *([change.parent.digest] if change.parent else [])}
        promoted = promotion_in_use(place.dataset)
        in_use = promoted.checkpoint if promoted else refs.get(place.dataset.settings.checkpoint)
    except ArtifactError:
        pass  # told by `verify_weights`
    return Surroundings(made_up_to, in_use if place.settings_known else None, frozenset(digests))


def verify_weights(dataset: Dataset) -> PartReport:
    """Looks at what rounds trained, and at the history of the weights in use.

    Raises:
        StorageError: The storage cannot be reached.
    """
    report = PartReport(WEIGHTS)
    _Weights(dataset, report).verify()
    return report


class _Weights:
    def __init__(self, dataset: Dataset, report: PartReport) -> None:
        self._dataset, self._storage, self._report = dataset, dataset.storage, report
        self._digests: dict[str, str | None] = {}

    def verify(self) -> None:
        for round_name in list_round_checkpoints(self._storage):
            self._verify_record(round_name)
        for folder in self._storage.list(RoundAssetName.SAM_CHECKPOINT):
            if "." not in folder:
                self._verify_folder(folder)
        self._verify_promotions()

    def _verify_record(self, round_name: str) -> None:
        name = artifact_name(RoundAssetName.SAM_CHECKPOINT, round_name)
        remedy = f"materialize sam_checkpoint of {round_name} again"
        record = self._read(name, lambda: read_round_checkpoint(self._storage, round_name), remedy)
        if record is None:
            return
        self._verify_file(name, record.file, record.checkpoint.digest, remedy)
        copy = f"{record.folder}/{RECORD}"
        if self._storage.exists(copy) and self._storage.read_bytes(copy) != self._storage.read_bytes(name):
            self._find(FindingKind.DAMAGED, name, f"is not the same as its copy {copy}; {remedy}.")

    def _verify_folder(self, folder: str) -> None:
        """Weights stay when their round is retrained; what lies beside them says what they are."""
        name = f"{folder}/{RECORD}"
        if not self._storage.exists(name):
            return  # a run that was killed left it so, and the next one of the round completes it
        remedy = "it may be deleted with its folder unless these weights are in use"
        record = self._read(name, lambda: _parse(self._storage.read_bytes(name)), remedy)
        if record is None:
            return
        self._verify_file(name, record.file, record.checkpoint.digest, remedy)
        self._verify_trained_on(f"{folder}/{TRAINED_ON}", record)

    def _verify_trained_on(self, name: str, record: RoundCheckpoint) -> None:
        round_name, made_from = record.header.partition, RoundAssetName.TRAINING_SET
        remedy = f"materialize sam_checkpoint of {round_name} again"
        try:
            data = self._storage.read_bytes(name)
            self._count(len(data))
            rows = pq.read_table(io.BytesIO(data), schema=TRAINED_MASKS)
            header = read_header(self._storage, made_from, round_name)
            if header is None or header.content_digest != record.header.inputs.get(made_from.value):
                return
            same = rows.equals(read_table(self._storage, made_from, round_name, columns=TRAINED_MASKS.names))
        except MissingFileError:
            self._find(FindingKind.MISSING, name, f"is missing, which says what the weights were trained on; {remedy}.")
            return
        except ArtifactError:
            return  # a training set that is told elsewhere
        except (pa.ArrowException, OSError) as error:
            self._find(FindingKind.DAMAGED, name, f"is damaged ({error}); {remedy}.")
            return
        if not same:
            self._find(FindingKind.DAMAGED, name, f"has other masks than the training set; {remedy}.")

    def _verify_promotions(self) -> None:
        try:
            changes = read_promotions(self._storage).changes
            in_use = promotion_in_use(self._dataset)
        except ArtifactError as error:
            self._find(FindingKind.DAMAGED, PROMOTIONS, f"is damaged ({error})")
            return
        if self._storage.exists(PROMOTIONS):
            self._count(self._storage.size(PROMOTIONS))
        advice = "bring it back, or promote another round: sa-pipeline rounds promote ROUND"
        made = {record.checkpoint.digest: record for record in list_made_checkpoints(self._storage)}
        for change in changes:
            record = made.get(change.checkpoint.digest)
            told = (change.round, change.checkpoint, change.file, change.parent)
            if record and told != (record.header.partition, record.checkpoint, record.file, record.parent):
                message = f"tells otherwise of the weights of round {change.round} than {record.folder}/{RECORD}"
                self._find(FindingKind.DAMAGED, PROMOTIONS, f"{message}; {advice}.")
            if change.file is not None and (change == in_use or self._storage.exists(change.file)):
                self._verify_file(PROMOTIONS, change.file, change.checkpoint.digest, advice)

    def _read(self, name: str, read: Callable[[], RoundCheckpoint | None], remedy: str) -> RoundCheckpoint | None:
        data = self._storage.read_bytes(name)
        self._count(len(data))
        try:
            record = read()
        except (ArtifactError, ValueError) as error:
            self._find(FindingKind.DAMAGED, name, f"is damaged ({' '.join(str(error).split())}); {remedy}.")
            return None
        if record is not None and record.model_dump_json(indent=1).encode() != data:
            self._find(FindingKind.DAMAGED, name, f"is written otherwise than this program writes it; {remedy}.")
        return record

    def _verify_file(self, told_by: str, file: str, digest: str, advice: str) -> None:
        if file in self._digests:
            found = self._digests[file]
        else:
            found = self._digests[file] = self._storage.digest(file) if self._storage.exists(file) else None
            if found is not None:
                self._count(self._storage.size(file))
        if found is None:
            self._find(FindingKind.MISSING, file, f"is missing, of which {told_by} speaks; {advice}.")
        elif found != digest:
            self._find(FindingKind.DAMAGED, file, f"has another SHA-256 than {told_by} says; {advice}.")

    def _count(self, size: int) -> None:
        self._report.tally.files += 1
        self._report.tally.size += size

    def _find(self, kind: FindingKind, name: str, message: str) -> None:
        self._report.find(kind, self._storage.url_of(name), message)


def _parse(data: bytes) -> RoundCheckpoint:
    return RoundCheckpoint.model_validate_json(data)


def _ref(name: str) -> CheckpointRef | None:
    try:
        return checkpoint_ref(name)
    except CheckpointError:
        return None
