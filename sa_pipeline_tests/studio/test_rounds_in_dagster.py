"""An annotation round as Dagster runs: its queue filled, its accepted masks snapshotted and checked."""

from collections.abc import Iterator

import dagster as dg
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from sa_pipeline.artifacts import RoundAssetName, artifact_name, read_table
from sa_pipeline.assets.annotation_tasks import AnnotationTasksConfig
from sa_pipeline.catalog.query import query
from sa_pipeline.checks.round_checks import accepted_tasks_all_there
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import StudioError
from sa_pipeline.quality.human_masks import human_mask_ids_unique, human_masks_decode
from sa_pipeline.runs import ensure_dagster_home, run_catalog, run_fill, run_round
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.models import Role, Stage, Tool
from sa_pipeline.studio.schema import tasks
from sa_pipeline_tests.studio.work import accept_all, add_person, begin, thing


@pytest.fixture
def instance(studio_dataset: Dataset) -> Iterator[dg.DagsterInstance]:
    with ensure_dagster_home(studio_dataset) as opened:
        yield opened


def latest(instance: dg.DagsterInstance, asset: str) -> dg.AssetMaterialization:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization


def annotate_two_images(dataset: Dataset) -> None:
    studio = open_studio(dataset)
    ada, grace = add_person(studio, "Ada"), add_person(studio, "Grace", Role.REVIEWER)
    for _ in range(2):
        work = begin(studio, ada)
        work.do((Tool.BRUSH, thing(work.rectangle(10, 20, 30, 40), "cup")), (Tool.BRUSH, thing(None)))
        work.finish()
    accept_all(studio, grace, 2)
    studio.close()


def test_a_round_goes_from_its_queue_to_a_checked_snapshot_and_into_the_catalogue(studio_dataset, instance) -> None:
    filled = run_fill(studio_dataset, "assisted-1", AnnotationTasksConfig(max_images=3), instance)
    assert filled.success, filled.error
    assert instance.get_dynamic_partitions("annotation_rounds") == ["assisted-1"]
    assert latest(instance, "annotation_tasks").metadata["new_tasks"].value == 3
    annotate_two_images(studio_dataset)
    made = run_round(studio_dataset, "assisted-1", instance)
    assert made.success, made.error
    event = latest(instance, "human_masks")
    assert event.partition == "assisted-1"
    assert (event.metadata["tasks"].value, event.metadata["masks"].value, event.metadata["manual"].value) == (2, 2, 2)
    assert event.metadata["seconds_per_mask"].value == 2.0
    assert event.metadata["overlays"].value.startswith("![](data:image/jpeg;base64,")
    records = instance.get_records_for_run(made.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    checked = [record.event_log_entry.dagster_event.event_specific_data for record in records]
    assert {check.asset_key.to_user_string() for check in checked} == {"human_masks"}
    assert len(checked) == 3
    assert all(check.passed for check in checked)

    built = run_catalog(studio_dataset, instance)
    assert built.success, built.error
    assert query(studio_dataset, "select label, masks, images from labels").values.tolist() == [["cup", 2, 2]]
    seconds = query(studio_dataset, "select round, annotator, masks, seconds_per_mask from seconds_per_mask")
    assert seconds.values.tolist() == [["assisted-1", "person-1", 2, 2.0]]
    assert query(studio_dataset, "select count(*) from human_mask_events").iloc[0, 0] == 4
    sources = query(studio_dataset, "select distinct source from masks_per_image_by_source order by 1")
    assert sources["source"].tolist() == ["automatic", "manual"]
    rounds = query(studio_dataset, "select distinct round from runs where job in ('fill_round', 'round_masks')")
    assert rounds["round"].tolist() == ["assisted-1"]
    assert query(studio_dataset, "select shard from shards")["shard"].tolist() == ["000000", "000001"]


def test_a_prefilled_round_names_its_stage_and_counts_its_masks(studio_dataset, instance) -> None:
    config = AnnotationTasksConfig(
        stage=Stage.SEMI_AUTOMATIC.value, shards=["000000"], prefill="automatic", pilot_tasks=1
    )
    assert run_fill(studio_dataset, "semi-1", config, instance).success
    metadata = latest(instance, "annotation_tasks").metadata
    assert metadata["new_images"].value == 2
    assert metadata["new_masks"].value > 0
    studio = open_studio(studio_dataset)
    with studio.read() as connection:
        rows = connection.execute(sa.select(tasks.c.stage, tasks.c.pilot).order_by(tasks.c.task_id)).all()
    studio.close()
    assert [tuple(row) for row in rows] == [("semi_automatic", True), ("semi_automatic", False)]


def test_the_checks_find_another_size_an_id_twice_and_a_task_that_is_missing(studio_dataset, instance) -> None:
    run_fill(studio_dataset, "assisted-1", AnnotationTasksConfig(), instance)
    annotate_two_images(studio_dataset)
    assert run_round(studio_dataset, "assisted-1", instance).success
    name = artifact_name(RoundAssetName.HUMAN_MASKS, "assisted-1")
    rows = read_table(studio_dataset.storage, RoundAssetName.HUMAN_MASKS, "assisted-1")
    wrong = rows.to_pylist()
    wrong[1] = {**wrong[1], "mask_id": wrong[0]["mask_id"], "task_id": wrong[0]["task_id"], "size": [9, 9]}
    with studio_dataset.storage.writing(name) as path:
        pq.write_table(rows.from_pylist(wrong, schema=rows.schema), path)
    assert not human_mask_ids_unique(studio_dataset, "assisted-1").passed
    decoded = human_masks_decode(studio_dataset, "assisted-1")
    assert (decoded.passed, dict(decoded.values)["wrong"]) == (False, 1)
    there = accepted_tasks_all_there(studio_dataset, "assisted-1")
    assert (there.passed, dict(there.values)["tasks that differ"]) == (False, 2)


def test_a_round_that_nobody_began_is_told_in_one_sentence_and_becomes_no_partition(studio_dataset, instance) -> None:
    with pytest.raises(StudioError, match="There is no annotation round assisted-9; there are: none yet"):
        run_round(studio_dataset, "assisted-9", instance)
    with pytest.raises(StudioError, match="expected a letter"):
        run_fill(studio_dataset, "../up", AnnotationTasksConfig(), instance)
    assert instance.get_dynamic_partitions("annotation_rounds") == []


def test_a_stage_that_the_paper_does_not_have_is_told_in_one_sentence(studio_dataset, instance) -> None:
    outcome = run_fill(studio_dataset, "assisted-1", AnnotationTasksConfig(stage="fourth"), instance)
    assert outcome.error == "stage: expected assisted_manual, semi_automatic, audit, got 'fourth'."
