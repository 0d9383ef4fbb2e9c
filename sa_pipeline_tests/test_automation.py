"""What the sensors and the schedule ask for."""

from collections.abc import Iterator

import dagster as dg
import pytest

from sa_pipeline.automation import catalog_after_shards, new_images, nightly_backfill
from sa_pipeline.dataset import Dataset, open_dataset, save_config
from sa_pipeline.definitions import defs
from sa_pipeline.images.ledger import append_new_images, list_shards
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


def tick_schedule(dataset: Dataset, instance: dg.DagsterInstance) -> list[str | None]:
    resources = {"data": DatasetResource(home=str(dataset.home))}
    repository = defs.get_repository_def()
    with dg.build_schedule_context(instance=instance, resources=resources, repository_def=repository) as context:
        data = nightly_backfill.evaluate_tick(context)
    return [request.partition_key for request in data.run_requests or []]


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


def test_the_nightly_backfill_asks_for_what_is_missing_or_stale_only(dataset, instance) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    assert tick_schedule(dataset, instance) == ["000000", "000001"]
    for shard in list_shards(dataset.storage):
        assert run_shard(dataset, shard, instance).success
    assert tick_schedule(dataset, instance) == []
    dataset.storage.remove("filtered_masks/000001.parquet")
    assert tick_schedule(dataset, instance) == ["000001"]
    masks = dataset.settings.masks.model_copy(update={"box_nms_thresh": 0.6})
    settings = dataset.settings.model_copy(update={"masks": masks})
    save_config(open_dataset(dataset.home, dataset.config.model_copy(update={"settings": settings})))
    assert tick_schedule(dataset, instance) == ["000000", "000001"]


def test_the_nightly_backfill_leaves_a_shard_alone_that_is_being_run(dataset, instance) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    job = defs.resolve_job_def("shard_masks")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "000000"})
    assert tick_schedule(dataset, instance) == ["000001"]


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
