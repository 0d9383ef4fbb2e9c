"""Shards and the catalogue through a real Dagster instance, as the shell and the schedules run them."""

import dagster as dg
import duckdb
import pytest

from sa_pipeline.artifacts import AssetName, artifact_name
from sa_pipeline.automation import new_images, nightly_backfill
from sa_pipeline.dataset import Dataset, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.progress import SilentProgress
from sa_pipeline.resources import DatasetResource
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline.shell_run import run_dataset


@pytest.fixture
def saved(dataset: Dataset) -> Dataset:
    save_config(dataset)
    return open_dataset(dataset.home)


@pytest.fixture
def resource(saved: Dataset) -> DatasetResource:
    return DatasetResource(home=str(saved.home))


def requested_shards(result) -> list[str]:
    return [request.partition_key for request in result]


def test_a_source_becomes_a_dataset_whose_runs_dagster_shows(saved) -> None:
    summary = run_dataset(saved, SilentProgress())
    assert (summary.shards, summary.images, summary.rejected, summary.failures) == (2, 5, 1, [])
    with ensure_dagster_home(saved) as instance:
        assert instance.get_dynamic_partitions("image_shards") == ["000000", "000001"]
        for asset in AssetName:
            assert instance.get_materialized_partitions(dg.AssetKey(asset.value)) == {"000000", "000001"}
        event = instance.get_latest_materialization_event(dg.AssetKey("deduplicated_masks"))
        metadata = event.asset_materialization.metadata
        assert metadata["overlays"].value.startswith("![](data:image/jpeg;base64,")
        assert metadata["checkpoint"].value.startswith("tiny ")
    assert (saved.home / "report" / "index.html").exists()
    with duckdb.connect(str(saved.catalog_path), read_only=True) as catalog:
        assert catalog.execute("select count(*) from images").fetchone() == (6,)
        assert catalog.execute("select count(*) from masks").fetchone() == (summary.masks,)
        assert catalog.execute("select reason from rejected_images").fetchall() == [("not_an_image",)]


def test_a_second_run_starts_no_shard_and_changes_no_file(saved) -> None:
    run_dataset(saved, SilentProgress())
    names = [artifact_name(asset, shard) for asset in AssetName for shard in list_shards(saved.storage)]
    before = {name: saved.storage.digest(name) for name in names}
    summary = run_dataset(saved, SilentProgress())
    assert (summary.fresh_shards, summary.shards) == (2, 2)
    assert {name: saved.storage.digest(name) for name in names} == before
    with ensure_dagster_home(saved) as instance:
        assert instance.get_runs_count(dg.RunsFilter(job_name="shard_masks")) == 2


def test_a_missing_source_is_said_in_one_sentence_and_nothing_runs(saved, tmp_path) -> None:
    from sa_pipeline.errors import SourceError

    gone = open_dataset(saved.home, saved.config.model_copy(update={"source": str(tmp_path / "gone")}))
    with pytest.raises(SourceError, match="gone"):
        run_dataset(gone, SilentProgress())


def test_the_sensor_registers_new_shards_and_asks_for_each_once(saved, resource) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, resources={"data": resource})
        result = new_images(context)
        assert requested_shards(result.run_requests) == ["000000", "000001"]
        for request in result.dynamic_partitions_requests:
            instance.add_dynamic_partitions("image_shards", list(request.partition_keys))
        assert isinstance(new_images(context), dg.SkipReason)


def test_the_nightly_backfill_asks_for_what_is_missing_or_stale_only(saved, resource) -> None:
    run_dataset(saved, SilentProgress())
    with ensure_dagster_home(saved) as instance:

        def ask():
            with dg.build_schedule_context(instance=instance, resources={"data": resource}) as context:
                return nightly_backfill(context)

        assert isinstance(ask(), dg.SkipReason)
        saved.storage.remove(artifact_name(AssetName.FILTERED_MASKS, "000001"))
        assert requested_shards(ask()) == ["000001"]
        masks = saved.settings.masks.model_copy(update={"box_nms_thresh": 0.6})
        settings = saved.settings.model_copy(update={"masks": masks})
        save_config(open_dataset(saved.home, saved.config.model_copy(update={"settings": settings})))
        assert requested_shards(ask()) == ["000000", "000001"]


def test_the_nightly_backfill_finds_shards_that_were_never_run(saved, resource) -> None:
    append_new_images(saved.storage, saved.config.source, saved.settings.images)
    with ensure_dagster_home(saved) as instance:
        with dg.build_schedule_context(instance=instance, resources={"data": resource}) as context:
            assert requested_shards(nightly_backfill(context)) == ["000000", "000001"]
        assert instance.get_dynamic_partitions("image_shards") == ["000000", "000001"]
