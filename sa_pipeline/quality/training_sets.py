"""Can a round's training set be trained on, and models be compared on what it holds out?"""

from collections.abc import Iterator

from sa_pipeline.artifacts import RoundAssetName, list_partitions, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.quality.outcome import CheckOutcome
from sa_pipeline.schemas import Split


def human_masks_all_there(dataset: Dataset, round_name: str) -> CheckOutcome:
    """Every human mask of the round is in its training set, once.

    Raises:
        ArtifactError: `human_masks` or `training_set` was not made or is damaged.
    """
    made, taken = (
        read_table(dataset.storage, asset, round_name, columns=["mask_id"])["mask_id"].to_pylist()
        for asset in (RoundAssetName.HUMAN_MASKS, RoundAssetName.TRAINING_SET)
    )
    differ = len(set(made) ^ set(taken)) + len(taken) - len(set(taken))
    summary = f"{len(made)} human masks, {len(taken)} in the training set; {differ} are missing, foreign or there twice"
    return CheckOutcome(differ == 0, summary, values=(("masks that differ", differ),))


def held_out_never_trained_on(dataset: Dataset, round_name: str) -> CheckOutcome:
    """No image that any round trains on is held out by another.

    Raises:
        ArtifactError: A training set is damaged.
    """
    own = dict(_images(dataset, round_name))
    others = (name for name in list_partitions(dataset.storage, RoundAssetName.TRAINING_SET) if name != round_name)
    clashes = [
        (image_id, name)
        for name in others
        for image_id, split in _images(dataset, name)
        if own.get(image_id, split) != split
    ]
    summary = f"{len(clashes)} of {len(own)} images are held out in one round and trained on in another"
    if clashes:
        summary += (
            f"; the first: image {clashes[0][0]} in {clashes[0][1]}. Give rounds.held_out_share the value of before, "
            "or materialize training_set of the other rounds again"
        )
    return CheckOutcome(not clashes, summary, values=(("images", len(clashes)),))


def _images(dataset: Dataset, round_name: str) -> Iterator[tuple[int, Split]]:
    rows = read_table(dataset.storage, RoundAssetName.TRAINING_SET, round_name, columns=["image_id", "split"])
    pairs = set(zip(rows["image_id"].to_pylist(), rows["split"].to_pylist(), strict=True))
    return ((image_id, Split(split)) for image_id, split in sorted(pairs))
