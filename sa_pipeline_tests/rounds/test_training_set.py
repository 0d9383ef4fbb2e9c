"""A round's masks as they are trained on: split by image, checked, and read with their pixels."""

import numpy as np
import pytest

from sa_pipeline.annotated.training_sets import TrainingSetSource
from sa_pipeline.artifacts import RoundAssetName, read_table
from sa_pipeline.dataset import Dataset, open_dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.quality.training_sets import held_out_never_trained_on, human_masks_all_there
from sa_pipeline.schemas import Split
from sa_pipeline.stages.shard_images import iterate_images
from sa_pipeline.stages.training_set import make_training_set
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.models import Stage
from sa_pipeline.studio.rounds import ensure_round
from sa_pipeline.studio.snapshot import snapshot_round
from sa_pipeline_tests.rounds.conftest import PHOTOGRAPHS, held_out_names, import_accepted


def snapshot(dataset: Dataset, round_name: str) -> None:
    studio = open_studio(dataset)
    snapshot_round(studio, round_name)
    studio.close()


def test_every_mask_is_in_one_split_by_its_image_and_is_read_with_its_pixels(rounds_dataset) -> None:
    import_accepted(rounds_dataset, "assisted-1", people=2)
    snapshot(rounds_dataset, "assisted-1")
    counts = make_training_set(rounds_dataset, "assisted-1").header.counts
    assert (counts["images"], counts["train_images"], counts["held_out_images"]) == (4, 3, 1)
    assert counts["masks"] == counts["train_masks"] + counts["held_out_masks"]
    assert make_training_set(rounds_dataset, "assisted-1").reused
    storage = rounds_dataset.storage
    train, held_out = (TrainingSetSource(rounds_dataset, ["assisted-1"], split) for split in Split)
    (kept_apart,) = held_out_names(rounds_dataset)
    assert held_out.names == [f"sa_{PHOTOGRAPHS.index(kept_apart) + 1}.jpg"]
    assert sorted([*train.names, *held_out.names]) == ["sa_1.jpg", "sa_2.jpg", "sa_3.jpg", "sa_4.jpg"]

    image = held_out.read(0)
    stored = [each for shard in ("000000", "000001") for each in iterate_images(rounds_dataset, shard)]
    (same,) = [each for each in stored if each.file_name == image.name]
    assert np.array_equal(image.pixels, same.pixels)
    made = read_table(storage, RoundAssetName.HUMAN_MASKS, "assisted-1", image_id=int(image.name[3:-4])).to_pylist()
    assert image.annotators == tuple(
        tuple(row["counts"] for row in made if row["replica"] == replica) for replica in (0, 1)
    )
    assert all(len(masks) > 1 for masks in image.annotators)


def test_people_of_several_rounds_stand_beside_each_other(rounds_dataset) -> None:
    for name in ("assisted-1", "assisted-2"):
        import_accepted(rounds_dataset, name)
        snapshot(rounds_dataset, name)
        make_training_set(rounds_dataset, name)
    source = TrainingSetSource(rounds_dataset, ["assisted-1", "assisted-2"], Split.HELD_OUT)
    image = source.read(0)
    assert len(image.annotators) == 2
    assert image.annotators[0] == image.annotators[1]


def test_the_checks_find_a_mask_that_is_missing_and_an_image_that_was_trained_on(rounds_dataset) -> None:
    import_accepted(rounds_dataset, "assisted-1")
    snapshot(rounds_dataset, "assisted-1")
    make_training_set(rounds_dataset, "assisted-1")
    assert human_masks_all_there(rounds_dataset, "assisted-1").passed
    assert held_out_never_trained_on(rounds_dataset, "assisted-1").passed

    import_accepted(rounds_dataset, "assisted-2")
    snapshot(rounds_dataset, "assisted-2")
    rounds = rounds_dataset.settings.rounds.model_copy(update={"held_out_share": 0.0})
    settings = rounds_dataset.settings.model_copy(update={"rounds": rounds})
    changed = open_dataset(rounds_dataset.home, rounds_dataset.config.model_copy(update={"settings": settings}))
    make_training_set(changed, "assisted-2")
    found = held_out_never_trained_on(changed, "assisted-2")
    assert not found.passed
    assert "1 of 4 images are held out in one round and trained on in another" in found.summary

    import_accepted(rounds_dataset, "assisted-3", PHOTOGRAPHS[:1])
    snapshot(rounds_dataset, "assisted-3")
    storage = rounds_dataset.storage
    with storage.local_copy("training_set/assisted-1.parquet") as path:
        storage.write_bytes("training_set/assisted-3.parquet", path.read_bytes())
    assert not human_masks_all_there(rounds_dataset, "assisted-3").passed


def test_masks_of_an_audit_are_not_trained_on(rounds_dataset) -> None:
    studio = open_studio(rounds_dataset)
    studio.write(lambda connection: ensure_round(connection, "audit-1", Stage.AUDIT, 0, studio.clock()))
    studio.close()
    import_accepted(rounds_dataset, "audit-1")
    snapshot(rounds_dataset, "audit-1")
    with pytest.raises(ArtifactError, match="Round audit-1 is an audit: its masks judge the model"):
        make_training_set(rounds_dataset, "audit-1")
