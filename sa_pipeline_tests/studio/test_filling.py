"""The queue of a round: every embedded image once, whatever happened before."""

import pytest
import sqlalchemy as sa

from sa_pipeline.artifacts import AssetName, artifact_name, read_header, read_table
from sa_pipeline.errors import StudioError
from sa_pipeline.masks.rle import area_from_runs, decode_counts
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.decoder import has_decoder
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.models import ObjectState, Stage
from sa_pipeline.studio.prefilling import automatic_masks
from sa_pipeline.studio.schema import events, objects, tasks


def task_rows(studio: Studio) -> list[sa.Row]:
    with studio.read() as connection:
        return list(connection.execute(sa.select(tasks).order_by(tasks.c.task_id)))


def test_every_image_with_an_embedding_becomes_one_task_and_its_decoder_is_made(studio) -> None:
    studio.dataset.storage.remove("decoders")
    report = fill_queue(studio, "assisted-1", pilot_tasks=1)
    assert (report.counts["images"], report.counts["tasks"], report.passed_over) == (4, 4, {})
    rows = task_rows(studio)
    assert [(row.image_id, row.shard, row.width, row.height) for row in rows] == [
        (1, "000000", 512, 512),
        (2, "000000", 451, 300),
        (3, "000001", 600, 400),
        (4, "000001", 640, 427),
    ]
    assert [row.pilot for row in rows] == [True, False, False, False]
    assert {(row.state, row.version, row.masks) for row in rows} == {("open", 0, 0)}
    digest = read_header(studio.dataset.storage, AssetName.IMAGE_EMBEDDINGS, "000000").checkpoint.digest
    assert {row.checkpoint_digest for row in rows} == {digest}
    assert has_decoder(studio.dataset, digest)


def test_filling_again_adds_only_what_is_missing(studio) -> None:
    first = fill_queue(studio, "assisted-1", shards=["000000"], max_images=1)
    assert first.counts["images"] == 1
    assert fill_queue(studio, "assisted-1", max_images=1).counts["tasks"] == 0
    rest = fill_queue(studio, "assisted-1")
    assert (rest.counts["images"], rest.counts["in_round"]) == (3, 1)
    assert sorted(row.image_id for row in task_rows(studio)) == [1, 2, 3, 4]


def test_a_later_round_takes_only_images_that_no_round_has(studio) -> None:
    fill_queue(studio, "assisted-1", images={2, 3})
    report = fill_queue(studio, "assisted-2")
    assert (report.counts["images"], report.counts["in_other_round"]) == (2, 2)
    assert sorted((row.round, row.image_id) for row in task_rows(studio)) == [
        ("assisted-1", 2),
        ("assisted-1", 3),
        ("assisted-2", 1),
        ("assisted-2", 4),
    ]


def test_an_image_may_ask_for_several_people(studio) -> None:
    fill_queue(studio, "assisted-1", images={1})
    report = fill_queue(studio, "assisted-1", annotators_per_image=3, images={1, 2})
    assert report.counts["tasks"] == 2 + 3
    assert sorted((row.image_id, row.replica) for row in task_rows(studio)) == [
        (image, replica) for image in (1, 2) for replica in range(3)
    ]


def test_shards_whose_embeddings_are_missing_or_cut_off_are_passed_over_with_the_reason(studio) -> None:
    storage = studio.dataset.storage
    name = artifact_name(AssetName.IMAGE_EMBEDDINGS, "000001")
    storage.write_bytes(name, storage.read_bytes(name)[:-100])
    report = fill_queue(studio, "assisted-1")
    assert report.counts["images"] == 2
    assert "is damaged" in report.passed_over["000001"]
    storage.remove(name)
    assert "does not exist" in fill_queue(studio, "assisted-1").passed_over["000001"]


def test_a_semi_automatic_task_begins_with_the_exported_masks_in_their_order(studio) -> None:
    prefill = automatic_masks(studio.dataset)
    report = fill_queue(studio, "semi-1", stage=Stage.SEMI_AUTOMATIC, images={1}, prefill=prefill)
    masks = read_table(studio.dataset.storage, AssetName.DEDUPLICATED_MASKS, "000000", image_id=1)
    kept = masks.filter(masks["kept"]).sort_by("rank").to_pylist()
    assert report.counts["masks"] == len(kept) > 0
    (task,) = task_rows(studio)
    assert (task.version, task.masks) == (len(kept), len(kept))
    with studio.read() as connection:
        stored = list(connection.execute(sa.select(objects).order_by(objects.c.prominence)))
        made = list(connection.execute(sa.select(events).order_by(events.c.version)))
    assert [row.source_mask_id for row in stored] == [mask["mask_id"] for mask in kept]
    assert [row.area for row in stored] == [mask["area"] for mask in kept]
    assert [row.bbox for row in stored] == [mask["bbox"] for mask in kept]
    assert {row.made_by for row in stored} == {None}
    assert [(event.tool, event.annotator_id, event.version) for event in made] == [
        ("prefill", None, number) for number in range(1, len(kept) + 1)
    ]
    state = ObjectState.model_validate(made[0].state)
    assert area_from_runs(decode_counts(state.mask.counts)) == kept[0]["area"]
    assert state.prompts.predicted_iou == pytest.approx(kept[0]["predicted_iou"])


@pytest.mark.parametrize("name", ["Upper", "../up", "", "a b", "000001", "x" * 61])
def test_a_round_whose_name_cannot_be_a_files_is_refused(studio, name) -> None:
    with pytest.raises(StudioError, match="expected a letter and then up to 59"):
        fill_queue(studio, name)


def test_a_round_keeps_its_stage(studio) -> None:
    fill_queue(studio, "assisted-1", max_images=1)
    with pytest.raises(StudioError, match="is of the stage assisted_manual, not semi_automatic"):
        fill_queue(studio, "assisted-1", stage=Stage.SEMI_AUTOMATIC)
