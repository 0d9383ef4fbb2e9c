"""`deidentified_images`: faces and licence plates found and blurred, before anything else is made of an image."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from PIL import Image

from sa_pipeline.artifacts import ArtifactHeader, AssetName, iterate_row_groups, writing_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.images.jpeg import decode_jpeg, encode_jpeg
from sa_pipeline.privacy.blurring import blur_detections
from sa_pipeline.privacy.detection import Detection, Detector, Kind
from sa_pipeline.privacy.extra_boxes import FOUND_BY, read_extra_boxes
from sa_pipeline.privacy.loading import load_detectors
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.schemas import DEIDENTIFIED_IMAGES
from sa_pipeline.settings import PipelineSettings
from sa_pipeline.stages.image_parts import ImageParts
from sa_pipeline.stages.result import StageResult, make_unless_fresh
from sa_pipeline.stages.shard_images import count_images

_SCORE_DIGITS, _PIXEL_DIGITS = 3, 1
"""What is kept of a network's floats, whose last digits differ between machines."""

_SAME_IOU = 0.3


@dataclass(frozen=True)
class _Found:
    detection: Detection
    by: str
    digest: str


def make_deidentified_images(dataset: Dataset, shard: str, progress: Progress | None = None) -> StageResult | None:
    """Looks for faces and licence plates in a shard's images and blurs them (paper §5, "Images").

    Images in which nothing is found keep their bytes, which stay in `raw_images` alone. Each image is kept aside as
    soon as it is done, so that a run that is stopped goes on with the next one. Counts: images, changed, faces,
    license_plates, found_again.

    Returns:
        None where it is switched off; nothing is read or written then.

    Raises:
        ArtifactError: `raw_images` was not made or is damaged.
        SettingsError: A detector, or the file of boxes that people drew, is not there.
        StorageError: The file cannot be written.
    """
    if not dataset.settings.deidentification.enabled:
        return None

    def make(header: ArtifactHeader) -> None:
        parts = ImageParts(dataset.storage, header, DEIDENTIFIED_IMAGES)
        detectors = load_detectors(dataset.settings.deidentification)
        boxes = read_extra_boxes(dataset.settings.deidentification.extra_boxes)
        columns = ["image_id", "status", "jpeg"]
        groups = (progress or SilentProgress()).track(
            (
                row
                for group in iterate_row_groups(dataset.storage, AssetName.RAW_IMAGES, shard, columns=columns)
                for row in group.to_pylist()
                if row["status"] == "ok"
            ),
            description=f"{AssetName.DEIDENTIFIED_IMAGES} {shard}",
            total=count_images(dataset, shard),
        )
        with writing_table(dataset.storage, DEIDENTIFIED_IMAGES, header) as writer:
            writer.counts.update(images=0, changed=0, faces=0, license_plates=0, found_again=0)
            for row in groups:
                part = parts.get(row["image_id"])
                if part is None:
                    extra = boxes.get(row["image_id"], ())
                    made = deidentify(row["image_id"], row["jpeg"], detectors, dataset.settings, extra)
                    part = parts.put(row["image_id"], made, _counts(made))
                writer.write(part.rows)
                writer.counts.update(part.counts)
        parts.remove()

    return make_unless_fresh(dataset.storage, expected_header(dataset, AssetName.DEIDENTIFIED_IMAGES, shard), make)


def deidentify(
    image_id: int,
    jpeg: bytes,
    detectors: Sequence[Detector],
    settings: PipelineSettings,
    extra: Sequence[Detection] = (),
) -> pa.Table:
    """Looks at one image.

    Args:
        image_id: Its number.
        jpeg: Its file.
        detectors: What to look with.
        settings: How to blur, and the quality of the JPEG that a changed image becomes.
        extra: What people found in it.

    Returns:
        One row, with the schema `DEIDENTIFIED_IMAGES`.
    """
    pixels = decode_jpeg(jpeg)
    found = [
        _Found(_rounded(each), detector.name, detector.digest)
        for detector in detectors
        for each in detector.detect(pixels)
    ]
    found += [_Found(_rounded(each), FOUND_BY, "") for each in extra]
    blurred: bytes | None = None
    again = 0
    if found:
        detections = [each.detection for each in found]
        changed = blur_detections(pixels, detections, settings.deidentification.enlargement)
        blurred = encode_jpeg(Image.fromarray(changed), settings.images.jpeg_quality)
        seen = decode_jpeg(blurred)
        left = [each for detector in detectors for each in detector.detect(seen)]
        again = sum(any(_same(each, other) for other in left) for each in detections)
    kinds = Counter(each.detection.kind for each in found)
    row = {
        "image_id": image_id,
        "faces": kinds[Kind.FACE],
        "license_plates": kinds[Kind.LICENSE_PLATE],
        "found_again": again,
        "boxes": [_box(each) for each in found],
        "jpeg": blurred,
    }
    return pa.Table.from_pylist([row], schema=DEIDENTIFIED_IMAGES)


def _counts(made: pa.Table) -> Counter[str]:
    row = made.drop_columns(["boxes", "jpeg"]).to_pylist()[0]
    counted = {name: row[name] for name in ("faces", "license_plates", "found_again")}
    return Counter(images=1, changed=int(row["faces"] + row["license_plates"] > 0), **counted)


def _rounded(detection: Detection) -> Detection:
    x, y, w, h = (round(value, _PIXEL_DIGITS) for value in detection.bbox)
    return Detection(detection.kind, round(detection.score, _SCORE_DIGITS), (x, y, w, h))


def _box(found: _Found) -> dict[str, object]:
    return {
        "kind": found.detection.kind.value,
        "score": found.detection.score,
        "bbox": list(found.detection.bbox),
        "detector": found.by,
        "detector_digest": found.digest,
    }


def _same(one: Detection, other: Detection) -> bool:
    (x, y, w, h), (u, v, s, t) = one.bbox, other.bbox
    shared = max(0.0, min(x + w, u + s) - max(x, u)) * max(0.0, min(y + h, v + t) - max(y, v))
    return one.kind is other.kind and shared > _SAME_IOU * (w * h + s * t - shared)
