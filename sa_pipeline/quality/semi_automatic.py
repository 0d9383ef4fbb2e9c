"""Does the object detector find more than chance would, and do annotators have masks to begin with?"""

from sa_pipeline.artifacts import RoundAssetName, read_header
from sa_pipeline.dataset import Dataset
from sa_pipeline.detection.record import read_detector_record
from sa_pipeline.errors import ArtifactError
from sa_pipeline.quality.outcome import CheckOutcome


def detector_beats_chance(dataset: Dataset, round_name: str) -> CheckOutcome:
    """The detector finds more of people's boxes on held-out images than boxes drawn by chance do.

    Raises:
        ArtifactError: `object_detector` was not made or is damaged.
    """
    record = read_detector_record(dataset.storage, round_name)
    if record is None:
        raise ArtifactError(f"Round {round_name} has no object detector; materialize object_detector first.")
    recall = record.recall
    if recall.at_half is None or recall.average is None or recall.random_average is None:
        return CheckOutcome(
            False,
            f"none of the {recall.images} held-out images has a box of people, so that nobody knows what the detector "
            "finds; annotate more images, or raise rounds.held_out_share",
            severity="warning",
            values=(("held-out images", recall.images),),
        )
    summary = (
        f"{recall.at_half:.1%} of {recall.boxes} boxes on {recall.images} held-out images are found at "
        f"{recall.max_boxes} boxes an image and an IoU of 0.5, {recall.random_at_half:.1%} by chance; average recall "
        f"{recall.average:.3f}, {recall.random_average:.3f} by chance"
    )
    return CheckOutcome(
        recall.average > recall.random_average,
        summary,
        severity="warning",
        values=(
            ("held-out images", recall.images),
            ("held-out boxes", recall.boxes),
            ("recall at IoU 0.5", recall.at_half),
            ("average recall", recall.average),
        ),
    )


def masks_to_begin_with(dataset: Dataset, round_name: str) -> CheckOutcome:
    """At least one mask was found for every two images of the round.

    Raises:
        ArtifactError: `prefilled_masks` was not made or is damaged.
    """
    header = read_header(dataset.storage, RoundAssetName.PREFILLED_MASKS, round_name)
    if header is None:
        raise ArtifactError(f"Round {round_name} has no pre-filled masks; materialize prefilled_masks first.")
    counts = header.counts
    dropped = ", ".join(
        f"{count} by {name.removeprefix('dropped_')}"
        for name, count in sorted(counts.items(), key=lambda item: -item[1])
        if name.startswith("dropped_") and count
    )
    summary = f"{counts['masks']} masks on {counts['images']} images, of {counts['boxes']} boxes"
    if dropped:
        summary += f"; dropped: {dropped}"
    return CheckOutcome(
        2 * counts["masks"] >= counts["images"] > 0,
        summary,
        severity="warning",
        values=tuple((name, float(count)) for name, count in sorted(counts.items())),
    )
