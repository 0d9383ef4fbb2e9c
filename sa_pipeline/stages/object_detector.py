"""`object_detector`: a box detector of one class, trained on all masks of the first stage so far."""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from torchvision.models.detection import FasterRCNN

from sa_pipeline.artifacts import (
    SCHEMA_VERSIONS,
    ArtifactHeader,
    AssetName,
    RoundAssetName,
    artifact_name,
    digest_of,
    input_digest,
)
from sa_pipeline.dataset import Dataset
from sa_pipeline.detection.detect import detect
from sa_pipeline.detection.recall import measure_recall
from sa_pipeline.detection.record import BoxExample, DetectorRecord, curves_file, log_file, weights_file
from sa_pipeline.detection.train import CURVES, LOG, WITHOUT_EFFECT, train_detector
from sa_pipeline.detection.weights import read_detector, write_detector
from sa_pipeline.errors import AnnotationError, ArtifactError
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.stages.held_out_images import HeldOutImages
from sa_pipeline.stages.human_boxes import DatasetBoxes, FirstStageBoxes, ImageBoxes, read_first_stage_boxes
from sa_pipeline.stages.result import StageResult, make_unless_fresh

EXAMPLES = 6
"""Images with boxes that are kept to look at: held-out ones, or else some that were trained on."""

BOXES_SHOWN = 20
"""On an example, the detector's best ones."""


def make_object_detector(dataset: Dataset, round_name: str, progress: Progress | None = None) -> StageResult:
    """Trains the detector on people's masks of all assisted-manual rounds that there are (paper §4).

    Images that are held out are never trained on; recall is measured on them. A training that was stopped or killed
    goes on where it was saved last, as long as its inputs are the same. Counts: train_images, train_boxes,
    held_out_images, held_out_boxes.

    Raises:
        AnnotationError: No image may be trained on.
        ArtifactError: A snapshot or `raw_images` of one of its shards was not made or is damaged.
        StorageError: A file cannot be written.
        KeyboardInterrupt: Somebody asked to stop; what was done is saved.
    """
    found = read_first_stage_boxes(dataset, dataset.settings.detector.min_mask_share)
    if not found.images:
        raise AnnotationError(
            "The detector has no image to be trained on: no assisted-manual round has accepted masks; snapshot one "
            "with `sa-pipeline annotations snapshot --round ROUND`."
        )
    expected = _expected(dataset, round_name, found)
    folder = _folder(dataset, expected)
    shown = progress or SilentProgress()
    result = make_unless_fresh(dataset.storage, expected, lambda header: _make(dataset, header, found, folder, shown))
    shutil.rmtree(folder, ignore_errors=True)
    return result


def read_trained(dataset: Dataset, record: DetectorRecord) -> FasterRCNN:
    """Loads the detector that a record tells of.

    Raises:
        ArtifactError: Its weights are gone or others.
        CheckpointError: They are damaged.
    """
    name = weights_file(record.header.partition)
    if not dataset.storage.exists(name) or dataset.storage.digest(name) != record.digest:
        raise ArtifactError(
            f"{dataset.storage.url_of(name)} does not hold the weights with the SHA-256 {record.digest[:16]}; "
            f"materialize object_detector for {record.header.partition} again."
        )
    with dataset.storage.local_copy(name) as path:
        return read_detector(path)


def _expected(dataset: Dataset, round_name: str, found: FirstStageBoxes) -> ArtifactHeader:
    asset, storage = RoundAssetName.OBJECT_DETECTOR, dataset.storage
    shards = sorted({image.shard for image in found.images})
    masks = ((name, input_digest(storage, RoundAssetName.HUMAN_MASKS, name)) for name in found.rounds)
    images = ((shard, input_digest(storage, AssetName.RAW_IMAGES, shard)) for shard in shards)
    recipe = dataset.settings.detector.model_dump(mode="json", exclude=WITHOUT_EFFECT)
    return ArtifactHeader(
        asset=asset,
        partition=round_name,
        schema_version=SCHEMA_VERSIONS[asset],
        settings=recipe | {"held_out_share": dataset.settings.rounds.held_out_share},
        inputs={RoundAssetName.HUMAN_MASKS.value: _digest(masks), AssetName.RAW_IMAGES.value: _digest(images)},
    )


def _digest(pairs: Iterable[tuple[str, str]]) -> str:
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in pairs).encode()).hexdigest()


def _folder(dataset: Dataset, header: ArtifactHeader) -> Path:
    """Where a training keeps its state, on this machine; named after its inputs, so that two are never mixed."""
    digest = hashlib.sha256(header.dump().encode()).hexdigest()[:16]
    return dataset.home / "training" / f"{header.asset}-{header.partition}-{digest}"


def _make(dataset: Dataset, header: ArtifactHeader, found: FirstStageBoxes, folder: Path, progress: Progress) -> None:
    settings, storage, round_name = dataset.settings.detector, dataset.storage, header.partition
    held_out = HeldOutImages(dataset)
    splits: dict[bool, list[ImageBoxes]] = {False: [], True: []}
    for image in found.images:
        splits[held_out.holds(image.shard, image.image_id)].append(image)
    if not splits[False]:
        raise AnnotationError(
            f"The detector has no image to be trained on: all {len(splits[True])} images with accepted masks are held "
            "out; annotate more, or lower rounds.held_out_share."
        )
    sources = {held: DatasetBoxes(dataset, images) for held, images in splits.items()}
    name = hashlib.sha256(header.dump().encode()).hexdigest()
    trained = train_detector(sources[False], settings, folder, progress, source_name=name)
    if not trained.finished or trained.loss is None:
        raise KeyboardInterrupt
    recall = measure_recall(trained.detector, sources[True], settings.max_boxes, progress)
    examples = tuple(_examples(trained.detector, sources[bool(splits[True])], held_out=bool(splits[True])))
    for file, target in ((LOG, log_file(round_name)), (CURVES, curves_file(round_name))):
        storage.write_bytes(target, (folder / file).read_bytes())
    with storage.writing(weights_file(round_name)) as path:
        write_detector(trained.detector, settings, path)
        digest = digest_of(path)
    counts = {
        f"{split}_{what}": count
        for split, images in (("train", splits[False]), ("held_out", splits[True]))
        for what, count in (("images", len(images)), ("boxes", _count_boxes(images)))
    }
    record = DetectorRecord(
        header=header.model_copy(update={"counts": counts, "content_digest": digest}),
        digest=digest,
        rounds=found.rounds,
        steps=trained.step,
        loss=trained.loss,
        recall=recall,
        examples=examples,
        settings=settings.model_dump(mode="json"),
    )
    storage.write_bytes(artifact_name(header.asset, round_name), record.model_dump_json(indent=2).encode())


def _count_boxes(images: Iterable[ImageBoxes]) -> int:
    return sum(len(person) for image in images for person in image.people)


def _examples(detector: FasterRCNN, source: DatasetBoxes, *, held_out: bool) -> Iterable[BoxExample]:
    for index, image in enumerate(source.images[:EXAMPLES]):
        pixels = source.read(index).pixels
        yield BoxExample(
            image_id=image.image_id,
            shard=image.shard,
            held_out=held_out,
            people=tuple(tuple(box) for person in image.people for box in person.tolist()),
            detected=tuple(tuple(box) for box in detect(detector, pixels).boxes[:BOXES_SHOWN].round(1).tolist()),
        )
