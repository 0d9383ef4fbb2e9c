"""Shards and the catalogue through a real Dagster instance, as the shell runs them."""

import dagster as dg
import duckdb
import pytest

from sa_pipeline.artifacts import AssetName, artifact_name
from sa_pipeline.dataset import Dataset, open_dataset, save_config
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.progress import SilentProgress
from sa_pipeline.provenance import shard_assets
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline.shell_run import run_dataset


@pytest.fixture
def saved(dataset: Dataset) -> Dataset:
    save_config(dataset)
    return open_dataset(dataset.home)


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
    assets = shard_assets(saved.settings)
    names = [artifact_name(asset, shard) for asset in assets for shard in list_shards(saved.storage)]
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
