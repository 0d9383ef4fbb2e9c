"""benchmarks/control_plane.py in small: its simulated dataset is one that the engine takes for real."""

from pathlib import Path

import dagster as dg
import pytest

from sa_pipeline.artifacts import AssetName
from sa_pipeline.dataset import DatasetConfig, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline.settings import ImageSettings, PipelineSettings

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SHARDS, IMAGES = 20, 4


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_the_simulation_is_fresh_materialized_and_in_the_catalogue(tmp_path: Path) -> None:
    from plane import parts, simulation

    settings = PipelineSettings(images=ImageSettings(images_per_shard=IMAGES))
    source = tmp_path / "source"
    dataset = open_dataset(tmp_path / "home", DatasetConfig(source=str(source), settings=settings))
    save_config(dataset)
    simulation.write_source(source, 0, SHARDS * IMAGES)
    append_new_images(dataset.storage, str(source), settings.images, index=dataset.ledger_index)
    shards = list_shards(dataset.storage)
    assert len(shards) == SHARDS
    simulation.write_shards(dataset.home, shards)
    with ensure_dagster_home(dataset) as instance:
        simulation.register_partitions(dataset, instance)
        simulation.store_materializations(instance, shards)
        for asset in AssetName:
            assert instance.get_materialized_partitions(dg.AssetKey(asset.value)) == set(shards)
        assert parts.sensor_tick(dataset, instance)["note"] == "nothing new"
        assert parts.nightly_ticks(dataset, instance)["note"].startswith("0 shards; 1 ticks")
        simulation.write_source(source, SHARDS * IMAGES, IMAGES)
        assert parts.sensor_tick(dataset, instance)["note"] == "1 shards"
        assert parts.nightly_ticks(dataset, instance)["note"].startswith("1 shards")
        assert f"{SHARDS * IMAGES * simulation.MASKS_PER_IMAGE} masks" in parts.catalog(dataset, instance)["note"]
        assert parts.views(dataset, instance)["seconds"] > 0
        assert int(parts.stats(dataset, instance)["note"].split()[0]) > 10


def test_growth_is_the_slope_between_neighbouring_sizes() -> None:
    from plane.growth import exponents, last_exponent

    assert exponents({100: 1.0, 1000: 10.0, 10000: 1000.0}) == pytest.approx({(100, 1000): 1.0, (1000, 10000): 2.0})
    assert last_exponent({100: 3.0}) is None
