"""A shard from its ledger to its export: each file by itself, and each against those that it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from sa_pipeline.artifacts import SCHEMA_VERSIONS, ArtifactHeader, AssetName, CheckpointRef, artifact_name
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError, MissingFileError
from sa_pipeline.images.ledger import LedgerEntry, ledger_name, read_ledger_shard
from sa_pipeline.provenance import INPUTS, settings_of_file, shard_assets
from sa_pipeline.quality.export import counts_reconcile
from sa_pipeline.verification.contents import verify_content
from sa_pipeline.verification.exports import VerifiedExport, verify_export
from sa_pipeline.verification.findings import FindingKind, PartReport
from sa_pipeline.verification.place import Place
from sa_pipeline.verification.remade import compare_export
from sa_pipeline.verification.rows import Rows, looks_of_shard

LEDGER_INPUT = "ledger"
COUNTED_BY_RULE = ("rejected_", "dropped_")
"""Beginnings of counts of a header that are there only where they are not 0."""


@dataclass(frozen=True)
class Surroundings:
    """What is known beyond a single shard.

    Attributes:
        made_up_to: The last asset of which any shard has a file: a dataset may be there for annotation alone.
        in_use: Weights; None where it cannot be told on this machine.
        digests: Of all weights that are known by a name, were made in a round, or were ever in use.
    """

    made_up_to: AssetName = AssetName.SA1B_EXPORT
    in_use: CheckpointRef | None = None
    digests: frozenset[str] = frozenset()


def verify_shard(place: Place, shard: str, around: Surroundings) -> PartReport:
    """Looks at all files of a shard.

    Raises:
        StorageError: The storage cannot be reached.
    """
    report = PartReport(shard)
    if place.alone:
        verify_export(place, shard, report)
    else:
        _Chain(place, shard, around, report).verify()
    return report


@dataclass
class _Chain:
    """The files of a shard of a whole dataset."""

    place: Place
    shard: str
    around: Surroundings
    report: PartReport
    headers: dict[AssetName, ArtifactHeader] = field(default_factory=dict)
    rows: dict[AssetName, Rows] = field(default_factory=dict)
    stale: set[AssetName] = field(default_factory=set)

    @cached_property
    def _assets(self) -> tuple[AssetName, ...]:
        """Those that are files; without settings, faces were blurred if there is a file that says so."""
        if self.place.settings_known:
            return shard_assets(self.place.dataset.settings)
        blurred = self.place.storage.exists(artifact_name(AssetName.DEIDENTIFIED_IMAGES, self.shard))
        return tuple(asset for asset in AssetName if blurred or asset is not AssetName.DEIDENTIFIED_IMAGES)

    @property
    def _dataset(self) -> Dataset:
        """The dataset with faces blurred if they are here, so that pixels are read as they were exported."""
        dataset, enabled = self.place.dataset, AssetName.DEIDENTIFIED_IMAGES in self._assets
        blurring = dataset.settings.deidentification.model_copy(update={"enabled": enabled})
        settings = dataset.settings.model_copy(update={"deidentification": blurring})
        return replace(dataset, config=dataset.config.model_copy(update={"settings": settings}))

    def _inputs(self, asset: AssetName) -> list[AssetName]:
        return [name for name in INPUTS[asset] if name in self._assets]

    def verify(self) -> None:
        entries = self._verify_ledger()
        present = [asset for asset in self._assets if self.place.storage.exists(artifact_name(asset, self.shard))]
        if not present and not self.place.storage.exists(self.place.tar_name(self.shard)):
            self._find(
                FindingKind.MISSING, AssetName.RAW_IMAGES, "is missing, as are all later files of the shard", again=True
            )
            return
        self._tell_missing(present)
        looks = looks_of_shard()
        for asset in present:
            if asset is not AssetName.SA1B_EXPORT:
                self._verify_asset(asset, looks[asset])
        exported = VerifiedExport(None, None, whole=False)
        if self.around.made_up_to is AssetName.SA1B_EXPORT:
            exported = verify_export(self.place, self.shard, self.report)
        if exported.header is not None:
            self.headers[AssetName.SA1B_EXPORT] = exported.header
        self._tell_ledger(entries)
        self._tell_stale()
        self._compare_rows()
        if exported.whole and exported.index is not None and self._fits(AssetName.SA1B_EXPORT):
            for problem in compare_export(self._dataset, self.shard, exported.index):
                self._find(FindingKind.DAMAGED, AssetName.SA1B_EXPORT, problem)
            if len(self.headers) == len(self._assets) and not self.stale:
                self._reconcile()

    def _verify_ledger(self) -> list[LedgerEntry] | None:
        name = ledger_name(self.shard)
        storage = self.place.storage
        try:
            entries = read_ledger_shard(storage, self.shard)
        except MissingFileError:
            message = "is missing; restore it from a backup: it gives images their numbers."
            self.report.find(FindingKind.MISSING, storage.url_of(name), message)
            return None
        except ArtifactError as error:
            url = storage.url_of(name)
            self.report.find(FindingKind.DAMAGED, url, str(error).removeprefix(url).strip())
            return None
        self.report.tally.files += 1
        self.report.tally.size += storage.size(name)
        self.report.image_ids = np.array([entry.image_id for entry in entries], np.int64)
        return entries

    def _tell_missing(self, present: list[AssetName]) -> None:
        order = list(AssetName)
        last = order.index(present[-1]) if present else -1
        for asset in order[: order.index(self.around.made_up_to) + 1]:
            # What `verify_export` says of a tar without an index need not be said twice.
            if asset in present or asset is AssetName.SA1B_EXPORT or asset not in self._assets:
                continue
            if order.index(asset) < last:
                self._find(FindingKind.MISSING, asset, "is missing", again=True)
            else:
                made = present[-1] if present else LEDGER_INPUT
                self._find(FindingKind.MISSING, asset, f"is missing: the shard was made up to {made}", again=True)
                return

    def _verify_asset(self, asset: AssetName, look: Rows) -> None:
        remedy = self.place.remedy(self.shard)
        header = verify_content(self.place.storage, asset, self.shard, self.report, remedy, look.look)
        if header is None:
            return
        self.headers[asset], self.rows[asset] = header, look
        told = {name for name in header.counts if name.startswith(COUNTED_BY_RULE)}
        for name in sorted(told | look.counts.keys()):
            if header.counts.get(name, 0) != look.counts[name]:
                said = f"says {header.counts.get(name, 0)} {name} in its header and holds {look.counts[name]}"
                self._find(FindingKind.DAMAGED, asset, said)
        if asset is AssetName.IMAGE_EMBEDDINGS:
            self._tell_unknown_weights(header)

    def _tell_unknown_weights(self, header: ArtifactHeader) -> None:
        known, made_by = self.around.digests, header.checkpoint
        if known and made_by is not None and made_by.digest not in known:
            message = (
                f"was made by {made_by.name} (sha256 {made_by.digest[:16]}), which is not known on this machine; add "
                "these weights: sa-pipeline checkpoints add NAME PATH."
            )
            self.report.find(FindingKind.UNEXPLAINED, self._url(AssetName.IMAGE_EMBEDDINGS), message)

    def _tell_ledger(self, entries: list[LedgerEntry] | None) -> None:
        header = self.headers.get(AssetName.RAW_IMAGES)
        if entries is None or header is None:
            return
        url = self.place.storage.url_of(ledger_name(self.shard))
        if header.inputs.get(LEDGER_INPUT) != self.place.storage.digest(ledger_name(self.shard)):
            message = (
                "is not the one that raw_images was made from; restore it from a backup, for a ledger never changes."
            )
            self.report.find(FindingKind.DAMAGED, url, message)
            return
        listed = [(entry.image_id, entry.source_uri, entry.sha256) for entry in entries]
        if self.rows[AssetName.RAW_IMAGES].identities != listed:
            self._find(FindingKind.DAMAGED, AssetName.RAW_IMAGES, "has other images than the ledger")

    def _tell_stale(self) -> None:
        """Says why the first stale file of the chain is stale; those after it are made from it."""
        for asset in AssetName:
            header = self.headers.get(asset)
            reason = self._reason_to_be_stale(asset, header) if header is not None else None
            if reason is None:
                continue
            if not self.stale:
                self._find(FindingKind.STALE, asset, f"is whole and stale: {reason}", again=True)
            self.stale.add(asset)

    def _reason_to_be_stale(self, asset: AssetName, header: ArtifactHeader) -> str | None:
        rules = SCHEMA_VERSIONS[asset]
        if header.schema_version != rules:
            return f"it was made by version {header.schema_version} of its rules, and now they are {rules}"
        if self.place.settings_known and not (self.place.stored and asset is AssetName.DEIDENTIFIED_IMAGES):
            wanted, had = settings_of_file(self.place.dataset, asset, self.shard), header.settings
            differing = sorted(name for name in {*wanted, *had} if wanted.get(name) != had.get(name))
            if differing:
                return f"it was made with other settings ({', '.join(differing)})"
        for name in self._inputs(asset):
            if name in self.headers and not self._matches(asset, name):
                return f"it was made from another {name} than the one that lies here"
        if asset is AssetName.IMAGE_EMBEDDINGS and self.around.in_use and header.checkpoint != self.around.in_use:
            return f"it was made by other weights than those in use, {self.around.in_use.name}"
        return None

    def _matches(self, asset: AssetName, name: AssetName) -> bool:
        """Whether an asset was made from the file of `name` that lies here; both are known."""
        return self.headers[asset].inputs.get(name.value) == self.headers[name].content_digest

    def _fits(self, asset: AssetName) -> bool:
        """Whether an asset was made from the very files that lie here, all of them whole."""
        known = self.headers.keys()
        return asset in known and all(name in known and self._matches(asset, name) for name in self._inputs(asset))

    def _compare_rows(self) -> None:
        """Rows that must be the same in two files of which one was made from the other."""
        same: Mapping[tuple[AssetName, AssetName], str] = {
            (AssetName.DEIDENTIFIED_IMAGES, AssetName.RAW_IMAGES): "images",
            (AssetName.IMAGE_EMBEDDINGS, AssetName.RAW_IMAGES): "images",
            (AssetName.FILTERED_MASKS, AssetName.CANDIDATE_MASKS): "masks",
            (AssetName.DEDUPLICATED_MASKS, AssetName.FILTERED_MASKS): "kept masks",
        }
        for (asset, source), what in same.items():
            known = {asset, source} <= self.rows.keys() and source in INPUTS[asset]
            if known and self._matches(asset, source) and self.rows[asset].taken != self.rows[source].given:
                self._find(FindingKind.DAMAGED, asset, f"has other {what} than {source}")

    def _reconcile(self) -> None:
        outcome = counts_reconcile(self._dataset, self.shard)
        if not outcome.passed:
            self._find(FindingKind.DAMAGED, AssetName.SA1B_EXPORT, f"has counts that do not add up ({outcome.summary})")

    def _find(self, kind: FindingKind, asset: AssetName, message: str, *, again: bool = False) -> None:
        remedy = self.place.again(self.shard) if again else self.place.remedy(self.shard)
        self.report.find(kind, self._url(asset), f"{message}; {remedy}.")

    def _url(self, asset: AssetName) -> str:
        return self.place.storage.url_of(artifact_name(asset, self.shard))
