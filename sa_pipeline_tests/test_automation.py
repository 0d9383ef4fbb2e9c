"""What the sensors and the schedule ask for."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from sa_pipeline.automation import BackfillPosition, catalog_after_shards, new_images, nightly_backfill
from sa_pipeline.dataset import Dataset, open_dataset, save_config
from sa_pipeline.definitions import defs
from sa_pipeline.images.ledger import append_new_images, list_shards, read_ledger_shard
from sa_pipeline.resources import DatasetResource
from sa_pipeline.runs import ensure_dagster_home, run_catalog, run_shard


@pytest.fixture
def instance(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    save_config(dataset)
    monkeypatch.setenv("SA_PIPELINE_HOME", str(dataset.home))
    with ensure_dagster_home(dataset) as opened:
        yield opened


def tick_sensor(dataset: Dataset, instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(instance=instance, resources={"data": DatasetResource(home=str(dataset.home))})
    return new_images(context)


def tick_night(
    dataset: Dataset, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    resources = {"data": DatasetResource(home=str(dataset.home))}
    return nightly_backfill(dg.build_sensor_context(instance=instance, resources=resources, cursor=cursor))


def wanted_by_night(dataset: Dataset, instance: dg.DagsterInstance) -> list[str | None]:
    return [request.partition_key for request in tick_night(dataset, instance).run_requests]


def test_the_sensor_registers_new_shards_and_asks_for_a_run_each(dataset, instance) -> None:
    result = tick_sensor(dataset, instance)
    assert isinstance(result, dg.SensorResult)
    assert [request.partition_key for request in result.run_requests] == ["000000", "000001"]
    (added,) = result.dynamic_partitions_requests
    assert list(added.partition_keys) == ["000000", "000001"]


def test_the_sensor_asks_for_nothing_when_no_image_is_new(dataset, instance) -> None:
    tick_sensor(dataset, instance)
    instance.add_dynamic_partitions("image_shards", list_shards(dataset.storage))
    assert isinstance(tick_sensor(dataset, instance), dg.SkipReason)


def test_a_tick_of_the_sensor_fills_its_shards_where_more_images_are_to_come(dataset, instance, monkeypatch) -> None:
    monkeypatch.setattr("sa_pipeline.automation.IMAGES_PER_TICK", 4)
    for shard in ("000000", "000001"):
        asked = tick_sensor(dataset, instance)
        assert [request.partition_key for request in asked.run_requests] == [shard]
        assert len(read_ledger_shard(dataset.storage, shard)) == 3
        instance.add_dynamic_partitions("image_shards", [shard])


def test_the_nightly_backfill_asks_for_what_is_missing_or_stale_only(dataset, instance) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    assert wanted_by_night(dataset, instance) == ["000000", "000001"]
    for shard in list_shards(dataset.storage):
        assert run_shard(dataset, shard, instance).success
    assert wanted_by_night(dataset, instance) == []
    dataset.storage.remove("filtered_masks/000001.parquet")
    assert wanted_by_night(dataset, instance) == ["000001"]
    masks = dataset.settings.masks.model_copy(update={"box_nms_thresh": 0.6})
    settings = dataset.settings.model_copy(update={"masks": masks})
    save_config(open_dataset(dataset.home, dataset.config.model_copy(update={"settings": settings})))
    assert wanted_by_night(dataset, instance) == ["000000", "000001"]


def test_the_nightly_backfill_leaves_a_shard_alone_that_is_being_run(dataset, instance) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    job = defs.resolve_job_def("shard_masks")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "000000"})
    assert wanted_by_night(dataset, instance) == ["000001"]


def test_the_nightly_backfill_goes_on_in_the_next_tick_and_rests_until_the_next_night(
    dataset, instance, monkeypatch
) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    monkeypatch.setattr("sa_pipeline.automation.RUNS_PER_TICK", 1)
    first = tick_night(dataset, instance)
    assert [request.partition_key for request in first.run_requests] == ["000000"]
    assert [list(request.partition_keys) for request in first.dynamic_partitions_requests] == [["000000"]]
    second = tick_night(dataset, instance, first.cursor)
    assert [request.partition_key for request in second.run_requests] == ["000001"]
    assert isinstance(tick_night(dataset, instance, second.cursor), dg.SkipReason)
    ended = BackfillPosition.model_validate_json(second.cursor)
    yesterday = ended.model_copy(update={"begun": ended.begun - timedelta(days=1)})
    again = tick_night(dataset, instance, yesterday.model_dump_json())
    assert [request.partition_key for request in again.run_requests] == ["000000"]
    assert again.run_requests[0].run_key != first.run_requests[0].run_key


def test_the_nightly_backfill_stops_looking_when_its_time_is_up(dataset, instance, monkeypatch) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    monkeypatch.setattr("sa_pipeline.automation.LOOK_SECONDS", -1)
    looked = tick_night(dataset, instance)
    assert [request.partition_key for request in looked.run_requests] == ["000000"]
    monkeypatch.undo()
    rest = tick_night(dataset, instance, looked.cursor)
    assert [request.partition_key for request in rest.run_requests] == ["000001"]


def test_the_nightly_backfill_asks_for_no_more_while_many_runs_wait(dataset, instance, monkeypatch) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    monkeypatch.setattr("sa_pipeline.automation.MAX_WAITING_RUNS", 1)
    run = start_run(instance, "shard_masks")
    assert isinstance(tick_night(dataset, instance), dg.SkipReason)
    instance.report_run_failed(run)
    assert wanted_by_night(dataset, instance) == ["000000", "000001"]


def tick_catalog(instance: dg.DagsterInstance) -> dg.RunRequest | None:
    asked = catalog_after_shards(dg.build_sensor_context(instance=instance))
    return asked if isinstance(asked, dg.RunRequest) else None


def materialize_in_ui(instance: dg.DagsterInstance, asset: str) -> None:
    """What the UI does when an asset is picked and materialized for a partition."""
    instance.add_dynamic_partitions("image_shards", ["000000"])
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        partition_key="000000",
        asset_selection=[dg.AssetKey(asset)],
    )
    assert result.success


def test_the_catalogue_follows_shards_that_the_ui_made_and_is_asked_for_once(dataset, instance) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    assert tick_catalog(instance) is None
    materialize_in_ui(instance, "raw_images")
    asked = tick_catalog(instance)
    assert asked is not None
    assert tick_catalog(instance).run_key == asked.run_key
    assert run_catalog(dataset, instance).success
    assert tick_catalog(instance) is None
    materialize_in_ui(instance, "raw_images")
    again = tick_catalog(instance)
    assert again is not None
    assert again.run_key != asked.run_key


def test_the_catalogue_follows_a_backfill_whose_last_run_failed(dataset, instance) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    materialize_in_ui(instance, "raw_images")
    assert not run_shard(dataset, "000099", instance).success
    assert tick_catalog(instance) is not None


def start_run(instance: dg.DagsterInstance, job: str) -> dg.DagsterRun:
    tags = {"dagster/partition": "000001"} if job == "shard_masks" else {}
    return instance.create_run_for_job(defs.resolve_job_def(job), status=dg.DagsterRunStatus.STARTED, tags=tags)


def test_while_shards_run_the_catalogue_waits_unless_it_is_old(dataset, instance, monkeypatch) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    assert run_catalog(dataset, instance).success
    run = start_run(instance, "shard_masks")
    materialize_in_ui(instance, "raw_images")
    assert tick_catalog(instance) is None
    monkeypatch.setattr("sa_pipeline.automation.CATALOG_MAX_AGE_SECONDS", 0)
    assert tick_catalog(instance) is not None
    monkeypatch.undo()
    # Built while a run was unfinished, it is built once more when the run has ended.
    assert run_catalog(dataset, instance).success
    assert tick_catalog(instance) is None
    instance.report_run_failed(run)
    assert tick_catalog(instance) is not None
    assert run_catalog(dataset, instance).success
    assert tick_catalog(instance) is None


def test_the_catalogue_is_not_asked_for_while_it_is_being_built(dataset, instance) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    materialize_in_ui(instance, "raw_images")
    start_run(instance, "refresh_catalog")
    assert tick_catalog(instance) is None
