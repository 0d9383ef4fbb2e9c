"""Is what was blurred out of a detector's sight?"""

from sa_pipeline.artifacts import AssetName, read_header, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.quality.outcome import CheckOutcome


def faces_gone_after_blurring(dataset: Dataset, shard: str) -> CheckOutcome:
    """The detectors, asked again, find hardly anything where faces and licence plates were blurred.

    Raises:
        ArtifactError: `deidentified_images` was not made or is damaged.
    """
    if not dataset.settings.deidentification.enabled:
        return CheckOutcome(True, "switched off: images are used as they are")
    header = read_header(dataset.storage, AssetName.DEIDENTIFIED_IMAGES, shard)
    if header is None:
        raise ArtifactError(f"{AssetName.DEIDENTIFIED_IMAGES} of shard {shard} does not exist; materialize it first.")
    counts = header.counts
    blurred, again = counts["faces"] + counts["license_plates"], counts["found_again"]
    summary = (
        f"{counts['faces']} faces and {counts['license_plates']} licence plates blurred in {counts['changed']} of "
        f"{counts['images']} images, {again} of them found again"
    )
    share = again / blurred if blurred else 0.0
    passed = share <= dataset.settings.quality.max_found_again_share
    if not passed:
        columns = ["image_id", "found_again"]
        rows = read_table(dataset.storage, AssetName.DEIDENTIFIED_IMAGES, shard, columns=columns).to_pylist()
        summary += "; look at images " + ", ".join(str(row["image_id"]) for row in rows if row["found_again"])
    return CheckOutcome(passed, summary, "warning", values=(("blurred", blurred), ("found_again", again)))
