"""Does every image of a shard have a sound embedding?"""

import numpy as np
from safetensors import safe_open

from sa_pipeline.artifacts import AssetName, artifact_name, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.quality.outcome import CheckOutcome


def embeddings_complete_and_finite(dataset: Dataset, shard: str) -> CheckOutcome:
    """Every good image has one tensor and every number in it is finite.

    Raises:
        ArtifactError: `raw_images` was not made or is damaged.
        StorageError: `image_embeddings` was not made.
    """
    rows = read_table(dataset.storage, AssetName.RAW_IMAGES, shard, columns=["image_id", "status"]).to_pylist()
    expected = {str(row["image_id"]) for row in rows if row["status"] == "ok"}
    with (
        dataset.storage.local_copy(artifact_name(AssetName.IMAGE_EMBEDDINGS, shard)) as path,
        safe_open(path, framework="numpy") as file,
    ):
        found = set(file.keys())
        broken = sorted(key for key in found if not np.isfinite(file.get_tensor(key)).all())
    missing, extra = len(expected - found), len(found - expected)
    summary = f"{len(found)} embeddings for {len(expected)} images: {missing} missing, {extra} extra, "
    summary += f"{len(broken)} with numbers that are not finite"
    values = (("missing", missing), ("extra", extra), ("not_finite", len(broken)))
    return CheckOutcome(not (missing or extra or broken), summary, values=values)
