"""An exported shard, byte for byte and record for record: its index, its tar, and the one against the other."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from sa_pipeline.artifacts import ArtifactHeader, AssetName
from sa_pipeline.errors import ArtifactError, MissingFileError, describe_validation_error
from sa_pipeline.sa1b.index import OWN_DIGEST, ExportIndex, IndexedFile, has_own_digest, parse_index
from sa_pipeline.sa1b.members import IMAGE
from sa_pipeline.sa1b.validation import ValidationReport, validate_tar
from sa_pipeline.settings import MAX_PROPOSALS_PER_IMAGE
from sa_pipeline.verification.findings import FindingKind, PartReport
from sa_pipeline.verification.place import Place

BLOCK = 1 << 20
"""Bytes that are read and hashed at once."""

FIRST_WITH_OWN_DIGEST = 2
"""Schema version of exports."""

FILES_NAMED = 3
"""Files of a damaged tar that are named; the others are counted."""

PROBLEMS_TOLD = 20
"""Problems of one tar's records that are told one by one; the others are counted."""


@dataclass(frozen=True)
class VerifiedExport:
    """What is known of an export after it was looked at.

    Attributes:
        index: None where it is missing or damaged.
        header: Of the index; None also where it has none.
        whole: Whether nothing was found to be wrong with tar or index.
    """

    index: ExportIndex | None
    header: ArtifactHeader | None
    whole: bool


def verify_export(place: Place, shard: str, report: PartReport) -> VerifiedExport:
    """Looks at a shard's index and tar; what is found, and how much was looked at, is added to `report`.

    Raises:
        StorageError: The storage cannot be reached.
    """
    known = len(report.findings)
    index = _verify_index(place, shard, report)
    header = _verify_header(place, shard, index, report) if index is not None else None
    try:
        with place.storage.local_copy(place.tar_name(shard)) as path:
            _verify_tar(place, shard, path, index, report, named_after_images=header is not None)
    except MissingFileError:
        url = place.storage.url_of(place.tar_name(shard))
        report.find(FindingKind.MISSING, url, f"is missing; {place.again(shard)}.")
    whole = not any(finding.kind is not FindingKind.STALE for finding in report.findings[known:])
    return VerifiedExport(index, header, whole)


def _verify_index(place: Place, shard: str, report: PartReport) -> ExportIndex | None:
    name = place.index_name(shard)
    url = place.storage.url_of(name)
    try:
        data = place.storage.read_bytes(name)
    except MissingFileError:
        message = "is missing, so that nothing says whether the tar's bytes are those that were written"
        report.find(FindingKind.MISSING, url, f"{message}; {place.again(shard)}.")
        return None
    report.tally.files += 1
    report.tally.size += len(data)
    try:
        index = parse_index(data, "it")
    except ArtifactError as error:
        report.find(FindingKind.DAMAGED, url, f"is damaged ({str(error).split(': ', 1)[-1]}); {place.remedy(shard)}.")
        return None
    if not has_own_digest(data):
        _tell_unprotected(place, shard, index, report)
    return index


def _tell_unprotected(place: Place, shard: str, index: ExportIndex, report: PartReport) -> None:
    """An index of an earlier version has no digest of its own; from one of now it was taken away."""
    url = place.storage.url_of(place.index_name(shard))
    version = (index.header or {}).get("schema_version")
    if isinstance(version, int) and version >= FIRST_WITH_OWN_DIGEST:
        report.find(FindingKind.DAMAGED, url, f"lacks {OWN_DIGEST}, its own digest; {place.remedy(shard)}.")
    elif place.alone:  # with the rest of the dataset, it is told to be stale
        message = f"was written by an earlier version, without {OWN_DIGEST}: a changed byte in it may go unnoticed"
        report.find(FindingKind.STALE, url, f"{message}; {place.remedy(shard)}.")


def _verify_header(place: Place, shard: str, index: ExportIndex, report: PartReport) -> ArtifactHeader | None:
    if index.header is None:
        return None
    url = place.storage.url_of(place.index_name(shard))
    try:
        header = ArtifactHeader.model_validate(index.header)
    except ValidationError as error:
        found = describe_validation_error(error, name="header")
        report.find(FindingKind.DAMAGED, url, f"has no header that can be read ({found}); {place.remedy(shard)}.")
        return None
    expected: dict[str, object] = {
        "asset": AssetName.SA1B_EXPORT,
        "partition": shard,
        "content_digest": index.tar_sha256,
        "counts": {"images": len(index.images), "masks": index.annotations},
    }
    for field, value in expected.items():
        found = getattr(header, field)
        if found != value:
            message = f"says {field} {found} in its header; expected {value}; {place.remedy(shard)}."
            report.find(FindingKind.DAMAGED, url, message)
    return header


def _verify_tar(
    place: Place, shard: str, path: Path, index: ExportIndex | None, report: PartReport, *, named_after_images: bool
) -> None:
    url = place.storage.url_of(place.tar_name(shard))
    report.tally.files += 1
    report.tally.size += path.stat().st_size
    hashing = _Hashing(path, index)
    validated = validate_tar(path)
    hashing.join()
    report.tally.images += validated.images
    report.tally.masks += validated.annotations
    if index is not None and hashing.digest != index.tar_sha256:
        report.find(
            FindingKind.DAMAGED, url, f"{_what_differs(path, index, hashing.differing)}; {place.remedy(shard)}."
        )
        return
    problems = [str(problem) for problem in validated.problems]
    if index is not None:
        problems += [f"{name}: its SHA-256 is not the one in the index" for name in hashing.differing]
        problems += _index_problems(index, validated)
    if named_after_images:
        problems += _id_problems(validated)
    for problem in problems[:PROBLEMS_TOLD]:
        report.find(FindingKind.DAMAGED, url, f"is wrong at {problem}; {place.remedy(shard)}.")
    if len(problems) > PROBLEMS_TOLD:
        report.find(FindingKind.DAMAGED, url, f"has {len(problems) - PROBLEMS_TOLD} more such faults.")
    if not named_after_images:
        report.mask_ids = validated.annotation_ids
    if place.alone:
        report.image_ids = np.array(
            [member.number for member in validated.members if member.kind == IMAGE], dtype=np.int64
        )


class _Hashing(threading.Thread):
    """Hashes a tar and the files in it while its records are read; both go on at once, since hashing frees the GIL.

    `digest` is the tar's; `differing` names the files whose bytes have another digest than the index says.
    """

    def __init__(self, path: Path, index: ExportIndex | None) -> None:
        super().__init__(name=f"hash {path.name}", daemon=True)  # so that Ctrl-C need not wait for it
        self._path, self._files = path, sorted(_files(index), key=lambda file: file.offset)
        self._fault: OSError | None = None
        self.digest, self.differing = "", list[str]()
        self.start()

    def run(self) -> None:
        try:
            self._hash()
        except OSError as error:
            self._fault = error

    def join(self, timeout: float | None = None) -> None:
        super().join(timeout)
        if self._fault is not None:
            raise self._fault

    def _hash(self) -> None:
        whole, place = hashlib.sha256(), 0
        with self._path.open("rb") as tar:
            for file in self._files:
                if file.offset < place:  # an index that contradicts itself
                    self.differing.append(file.name)
                    continue
                while place < file.offset and (data := tar.read(min(BLOCK, file.offset - place))):
                    whole.update(data)
                    place += len(data)
                own = hashlib.sha256()
                end = place + file.size
                while place < end and (data := tar.read(min(BLOCK, end - place))):
                    whole.update(data)
                    own.update(data)
                    place += len(data)
                if own.hexdigest() != file.sha256:
                    self.differing.append(file.name)
            while data := tar.read(BLOCK):
                whole.update(data)
        self.digest = whole.hexdigest()


def _files(index: ExportIndex | None) -> Iterator[IndexedFile]:
    for image in index.images if index is not None else ():
        yield image.jpeg
        yield image.record


def _what_differs(path: Path, index: ExportIndex, differing: list[str]) -> str:
    size = path.stat().st_size
    if size != index.tar_size:
        return f"has {size} bytes; its index says {index.tar_size}"
    if not differing:
        return "has other bytes than were written, between its files"
    more = f" and {len(differing) - FILES_NAMED} more files" if len(differing) > FILES_NAMED else ""
    named = ", ".join(differing[:FILES_NAMED]) + more
    return f"has other bytes than were written, in {named}"


def _index_problems(index: ExportIndex, validated: ValidationReport) -> Iterator[str]:
    """Where names, places and numbers of masks in the index are not those in the tar."""
    told = [(file.name, file.offset, file.size) for file in _files(index)]
    found = [(member.name, member.offset, member.size) for member in validated.members]
    if told != found:
        yield next(
            (
                f"{got[0]}: the index has {said} in its place"
                for got, said in zip(found, told, strict=False)
                if got != said
            ),
            f"its end: it holds {len(found)} files and the index {len(told)}",
        )
    for image in index.images:
        masks = validated.masks.get(image.image_id)
        if masks is not None and masks != image.annotations:
            yield f"{image.record.name}: it has {masks} masks, by the index {image.annotations}"


def _id_problems(validated: ValidationReport) -> Iterator[str]:
    """Where the number of masks with an image's number in their id is not the number of its masks."""
    numbers, counts = np.unique(validated.annotation_ids // MAX_PROPOSALS_PER_IMAGE, return_counts=True)
    found = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    for image_id, masks in validated.masks.items():
        if found.pop(image_id, 0) != masks:
            yield f"sa_{image_id}.json: not every id is of a mask of its image, image_id * 1,000,000 and on"
    for number in found:
        yield f"its records: there are ids of masks of image {number}, which is not in the tar"
