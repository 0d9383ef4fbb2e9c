"""What the sensor and the schedule ask for."""

from collections.abc import Iterator

import dagster as dg
import pytest

from sa_pipeline.automation import new_images, nightly_backfill
from sa_pipeline.dataset import Dataset, save_config
from sa_pipeline.definitions import defs
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.resources import DatasetResource
from sa_pipeline.runs import ensure_dagster_home, run_shard


@pytest.fixture
def instance(dataset: Dataset) -> Iterator[dg.DagsterInstance]:
    save_config(dataset)
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


def test_the_nightly_backfill_leaves_a_shard_alone_that_is_being_run(dataset, instance) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    job = defs.resolve_job_def("shard_masks")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "000000"})
    assert tick_schedule(dataset, instance) == ["000001"]
