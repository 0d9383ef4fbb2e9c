"""Is a shard's export valid SA-1B, and is nothing lost on the way?"""

from sa_pipeline.artifacts import ArtifactHeader, AssetName, export_tar_name, read_header
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.provenance import shard_assets
from sa_pipeline.quality.outcome import CheckOutcome
from sa_pipeline.sa1b.validation import validate_tar


def records_valid(dataset: Dataset, shard: str) -> CheckOutcome:
    """Every record follows the format, and every mask decodes to its stated area and box.

    Raises:
        StorageError: `sa1b_export` was not made.
    """
    with dataset.storage.local_copy(export_tar_name(shard)) as path:
        report = validate_tar(path)
    first = f"; the first: {report.problems[0]}" if report.problems else ""
    summary = f"{len(report.problems)} problems in {report.images} images with {report.annotations} masks{first}"
    return CheckOutcome(report.ok, summary, values=(("problems", len(report.problems)),))


def counts_reconcile(dataset: Dataset, shard: str) -> CheckOutcome:
    """Images in = exported + rejected; proposals and candidates = kept + dropped by each rule; kept = exported.

    Raises:
        ArtifactError: A file of the shard was not made or is damaged.
    """
    counts = {asset: _header(dataset, asset, shard).counts for asset in shard_assets(dataset.settings)}
    raw, candidates = counts[AssetName.RAW_IMAGES], counts[AssetName.CANDIDATE_MASKS]
    filtered, deduplicated = counts[AssetName.FILTERED_MASKS], counts[AssetName.DEDUPLICATED_MASKS]
    exported = counts[AssetName.SA1B_EXPORT]
    below_floors = candidates["below_predicted_iou_floor"] + candidates["below_stability_floor"]
    equations = (
        ("files = exported + rejected", raw["files"], exported["images"] + raw.get("rejected", 0)),
        ("proposals = candidates + below floors", candidates["proposals"], candidates["candidates"] + below_floors),
        ("candidates = kept + dropped", candidates["candidates"], filtered["kept"] + _dropped(filtered)),
        ("masks = kept + dropped", filtered["kept"], deduplicated["kept"] + _dropped(deduplicated)),
        ("kept = exported", deduplicated["kept"], exported["masks"]),
    )
    wrong = [f"{name}: {left} is not {right}" for name, left, right in equations if left != right]
    return CheckOutcome(not wrong, "; ".join(wrong) or "all counts of the chain agree")


def _dropped(counts: dict[str, int]) -> int:
    return sum(count for name, count in counts.items() if name.startswith("dropped_"))


def _header(dataset: Dataset, asset: AssetName, shard: str) -> ArtifactHeader:
    header = read_header(dataset.storage, asset, shard)
    if header is None:
        raise ArtifactError(f"{asset} of shard {shard} does not exist; materialize it first.")
    return header
