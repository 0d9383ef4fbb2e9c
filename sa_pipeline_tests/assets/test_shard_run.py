"""A shard as a Dagster run: one job, its assets, seen in the instance."""

from collections.abc import Iterator

import dagster as dg
import pytest

from sa_pipeline.artifacts import artifact_name, export_tar_name
from sa_pipeline.assets.common import fail_at_once
from sa_pipeline.catalog.schema import TABLE_MEANINGS
from sa_pipeline.dataset import Dataset, save_config
from sa_pipeline.errors import SettingsError, StorageError
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.provenance import shard_assets
from sa_pipeline.runs import ensure_dagster_home, run_catalog, run_shard


@pytest.fixture
def instance(dataset: Dataset) -> Iterator[dg.DagsterInstance]:
    save_config(dataset)
    append_new_images(dataset.storage, str(dataset.config.source), dataset.settings.images)
    with ensure_dagster_home(dataset) as opened:
        yield opened


def latest(instance: dg.DagsterInstance, asset: str) -> dg.AssetMaterialization:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization


def digests(dataset: Dataset, shard: str) -> dict[str, str]:
    names = [*(artifact_name(asset, shard) for asset in shard_assets(dataset.settings)), export_tar_name(shard)]
    return {name: dataset.storage.digest(name) for name in names}


def test_one_run_makes_all_six_files_and_running_again_changes_no_byte(dataset, instance) -> None:
    shard = list_shards(dataset.storage)[0]
    outcome = run_shard(dataset, shard, instance)
    assert outcome.success, outcome.error
    before = digests(dataset, shard)
    assert instance.get_dynamic_partitions("image_shards") == [shard]
    exported = latest(instance, "sa1b_export").metadata
    assert exported["tar"].value == dataset.storage.url_of(export_tar_name(shard))
    assert exported["funnel"].value.startswith("![](data:image/jpeg;base64,")
    assert latest(instance, "raw_images").metadata["rejected"].value == 1
    assert latest(instance, "deidentified_images").metadata["deidentification"].value == "off"
    for asset in shard_assets(dataset.settings):
        made = latest(instance, asset)
        assert made.partition == shard
        assert made.metadata["reused"].value is False
        assert "file" in made.metadata
        assert "seconds" in made.metadata

    assert run_shard(dataset, shard, instance).success
    assert digests(dataset, shard) == before
    assert all(latest(instance, asset).metadata["reused"].value is True for asset in shard_assets(dataset.settings))
    assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}


def test_a_permanent_error_fails_the_step_at_once_with_its_sentence(dataset, instance) -> None:
    outcome = run_shard(dataset, "000099", instance)
    retries = instance.get_records_for_run(outcome.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
    assert not retries.records
    assert not outcome.success
    assert outcome.failed_step == "raw_images"
    assert outcome.error
    assert "000099" in outcome.error


def test_the_catalogue_and_the_cards_are_built_by_a_run(dataset, instance) -> None:
    assert run_shard(dataset, list_shards(dataset.storage)[0], instance).success
    outcome = run_catalog(dataset, instance)
    assert outcome.success, outcome.error
    assert dataset.catalog_path.exists()
    metadata = latest(instance, "catalog").metadata
    assert metadata["funnel"].value.startswith("![](data:image/jpeg;base64,")
    assert {name for name in metadata if name.startswith("rows_")} == {f"rows_{table}" for table in TABLE_MEANINGS}
    card = latest(instance, "dataset_card").metadata
    assert card["dataset_card.html"].value == dataset.storage.url_of("cards/dataset_card.html")
    assert card["overview"].value.startswith("![](data:image/jpeg;base64,")


def test_a_transient_error_is_left_to_the_retry_policy() -> None:
    @fail_at_once
    def storage_fails() -> None:
        raise StorageError("storage does not answer")

    @fail_at_once
    def settings_are_wrong() -> None:
        raise SettingsError("settings are wrong")

    with pytest.raises(StorageError):
        storage_fails()
    with pytest.raises(dg.Failure) as caught:
        settings_are_wrong()
    assert (caught.value.description, caught.value.allow_retries) == ("settings are wrong", False)
