"""The snapshot of a round holds what was accepted, pixel for pixel, and nobody's name."""

import numpy as np
import pytest

from sa_pipeline.artifacts import RoundAssetName, artifact_name, read_header, read_table
from sa_pipeline.masks.rle import counts_to_mask
from sa_pipeline.schemas import HUMAN_MASK_EVENTS, HUMAN_MASKS
from sa_pipeline.settings import MAX_PROPOSALS_PER_IMAGE
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.models import Kind, Prompts, Role, Stage, Tool
from sa_pipeline.studio.prefilling import automatic_masks
from sa_pipeline.studio.snapshot import accepted_masks, snapshot_round
from sa_pipeline_tests.studio.work import accept_all, add_person, begin, thing

ROUND = "assisted-1"
FILES = (RoundAssetName.HUMAN_MASKS, RoundAssetName.HUMAN_MASK_EVENTS)


@pytest.fixture
def worked(studio):
    """Two of four images are accepted, one is finished, one is open; Ada works, Grace reviews."""
    fill_queue(studio, ROUND)
    ada, grace = add_person(studio, "Ada Lovelace"), add_person(studio, "Grace Hopper", Role.REVIEWER)
    for index in range(3):
        work = begin(studio, ada)
        cup = thing(
            work.rectangle(10 + index, 20, 30, 40),
            "cup",
            kind=Kind.THING,
            prominence=1,
            prompts=Prompts(point_coords=[(25.0, 30.0)], point_labels=[1], output=3, predicted_iou=0.75),
        )
        table = thing(work.rectangle(0, 100, 200, 50), "table", kind=Kind.STUFF, prominence=0)
        wrong = thing(work.rectangle(1, 1, 5, 5))
        work.do((Tool.CLICK, cup), (Tool.CLICK, cup), (Tool.ERASER, cup), (Tool.BRUSH, wrong), (Tool.BOX, table))
        work.do((Tool.DELETE, wrong.model_copy(update={"deleted": True})))
        work.finish()
    accept_all(studio, grace, 2)
    return studio


def masks(studio) -> list[dict]:
    return read_table(studio.dataset.storage, RoundAssetName.HUMAN_MASKS, ROUND).to_pylist()


def test_accepted_tasks_are_in_it_in_order_of_prominence_and_others_are_not(worked) -> None:
    made = snapshot_round(worked, ROUND)
    assert made.masks.header.counts == {
        "tasks": 2, "images": 2, "masks": 4, "manual": 4, "prefilled": 0, "imported": 0
    }  # fmt: skip
    rows = masks(worked)
    assert [(row["image_id"], row["label"], row["kind"]) for row in rows] == [
        (1, "table", "stuff"),
        (1, "cup", "thing"),
        (2, "table", "stuff"),
        (2, "cup", "thing"),
    ]
    assert accepted_masks(worked, ROUND) == {row["task_id"]: 2 for row in rows}
    cup = rows[1]
    expected = np.zeros((512, 512), bool)
    expected[20:60, 10:40] = True
    np.testing.assert_array_equal(counts_to_mask(cup["counts"], tuple(cup["size"])), expected)
    assert (cup["area"], cup["bbox"], cup["size"]) == (1200, [10, 20, 29, 39], [512, 512])
    assert (cup["clicks"], cup["boxes"], cup["brush_strokes"]) == (2, 0, 1)
    assert (cup["active_seconds"], cup["seconds"]) == (6.0, 4.0)
    assert (cup["point_coords"], cup["point_labels"], cup["predicted_iou"]) == ([[25.0, 30.0]], [1], 0.75)


def test_every_change_is_kept_also_of_what_was_deleted(worked) -> None:
    snapshot_round(worked, ROUND)
    events = read_table(worked.dataset.storage, RoundAssetName.HUMAN_MASK_EVENTS, ROUND).to_pylist()
    assert [event["tool"] for event in events if event["image_id"] == 1] == [
        "click", "click", "eraser", "brush", "box", "delete"
    ]  # fmt: skip
    ids = {row["mask_id"] for row in masks(worked)}
    deleted = [event for event in events if event["deleted"]]
    assert len(deleted) == 2
    assert not {event["mask_id"] for event in deleted} & ids
    assert {event["mask_id"] for event in events} > ids


def test_people_are_pseudonyms_that_stay_the_same_and_no_name_is_in_the_files(worked) -> None:
    snapshot_round(worked, ROUND)
    assert {(row["annotator"], row["reviewer"]) for row in masks(worked)} == {("person-1", "person-2")}
    for asset in FILES:
        text = str(read_table(worked.dataset.storage, asset, ROUND).to_pylist())
        assert "Lovelace" not in text
        assert "Hopper" not in text


def test_ids_lie_beyond_every_automatic_masks_and_within_what_javascript_reads(worked) -> None:
    snapshot_round(worked, ROUND)
    ids = [row["mask_id"] for row in masks(worked)]
    assert len(set(ids)) == len(ids)
    assert all(2**33 * MAX_PROPOSALS_PER_IMAGE <= mask_id < 2**53 for mask_id in ids)


def test_the_same_work_gives_the_same_bytes_and_is_not_written_again(worked) -> None:
    storage = worked.dataset.storage
    names = [artifact_name(asset, ROUND) for asset in FILES]
    snapshot_round(worked, ROUND)
    before = [storage.digest(name) for name in names]
    again = snapshot_round(worked, ROUND)
    assert again.masks.reused
    assert again.events.reused
    for name in names:
        storage.remove(name)
    assert not snapshot_round(worked, ROUND).masks.reused
    assert [storage.digest(name) for name in names] == before


def test_a_task_that_is_accepted_later_makes_the_snapshot_stale(worked) -> None:
    first = snapshot_round(worked, ROUND).masks.header
    accept_all(worked, add_person(worked, "Edith", Role.REVIEWER), 1)
    second = snapshot_round(worked, ROUND).masks
    assert not second.reused
    assert second.header.counts["tasks"] == 3
    assert second.header.inputs != first.inputs
    kept = [row["mask_id"] for row in masks(worked)]
    assert len(kept) == len(set(kept)) == 6


def test_the_files_describe_each_column_and_say_what_they_were_made_from(worked) -> None:
    snapshot_round(worked, ROUND)
    schemas = {RoundAssetName.HUMAN_MASKS: HUMAN_MASKS, RoundAssetName.HUMAN_MASK_EVENTS: HUMAN_MASK_EVENTS}
    for asset, schema in schemas.items():
        stored = read_table(worked.dataset.storage, asset, ROUND).schema
        assert stored.names == schema.names
        assert all(field.metadata[b"description"] for field in stored)
        header = read_header(worked.dataset.storage, asset, ROUND)
        assert header.partition == ROUND
        assert len(header.inputs["accepted_tasks"]) == 64


def test_an_automatic_mask_that_was_confirmed_names_it_and_took_nobodys_brush(studio) -> None:
    fill_queue(studio, ROUND, stage=Stage.SEMI_AUTOMATIC, images={1}, prefill=automatic_masks(studio.dataset))
    work = begin(studio, add_person(studio, "Ada"))
    work.finish()
    accept_all(studio, add_person(studio, "Grace", Role.REVIEWER), 1)
    made = snapshot_round(studio, ROUND)
    assert made.masks.header.counts["prefilled"] == made.masks.header.counts["masks"] > 0
    row = masks(studio)[0]
    assert row["source_mask_id"] // MAX_PROPOSALS_PER_IMAGE == row["image_id"] == 1
    assert (row["clicks"], row["active_seconds"], row["seconds"]) == (0, 0.0, 0.0)
    assert row["annotator"] == "person-1"


def test_a_round_without_accepted_work_is_an_empty_table(studio) -> None:
    fill_queue(studio, ROUND)
    assert snapshot_round(studio, ROUND).masks.header.counts["tasks"] == 0
    assert masks(studio) == []
