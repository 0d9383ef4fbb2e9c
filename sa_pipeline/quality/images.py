"""Are a shard's files images?"""

from sa_pipeline.artifacts import AssetName, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.images.ledger import read_ledger_shard
from sa_pipeline.quality.outcome import CheckOutcome


def images_readable(dataset: Dataset, shard: str) -> CheckOutcome:
    """Every file of the ledger has a row, and few of them are rejected.

    Raises:
        ArtifactError: `raw_images` was not made or is damaged.
    """
    rows = read_table(dataset.storage, AssetName.RAW_IMAGES, shard, columns=["image_id", "status"])
    entered = [entry.image_id for entry in read_ledger_shard(dataset.storage, shard)]
    rejected = rows["status"].to_pylist().count("rejected")
    bound = dataset.settings.quality.max_rejected_share
    complete = rows["image_id"].to_pylist() == entered
    summary = f"{rejected} of {len(entered)} files rejected, at most {bound:.0%} expected"
    if not complete:
        summary = f"{rows.num_rows} rows for {len(entered)} files of the ledger; materialize raw_images again"
    passed = complete and rejected <= bound * len(entered)
    return CheckOutcome(passed, summary, values=(("files", len(entered)), ("rejected", rejected)))
