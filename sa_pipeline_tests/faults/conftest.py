"""Three little photographs in three shards, and what becomes of them undisturbed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image

from sa_pipeline.artifacts import AssetName, artifact_name, export_tar_name
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.settings import ImageSettings, PipelineSettings
from sa_pipeline.stages.candidate_masks import make_candidate_masks
from sa_pipeline.stages.deduplicated_masks import make_deduplicated_masks
from sa_pipeline.stages.filtered_masks import make_filtered_masks
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images
from sa_pipeline.stages.sa1b_export import make_sa1b_export
from sa_pipeline_tests.conftest import SMALL_MASKS

PATIENCE_SECONDS = 900.0
"""With what is waited for; the machine may be busy."""

MakeDataset = Callable[..., Dataset]


@pytest.fixture(scope="session")
def little_photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("little") / "photographs"
    folder.mkdir()
    for name in ("astronaut", "chelsea", "coffee"):
        image = Image.fromarray(getattr(skimage.data, name)())
        image.thumbnail((96, 96))
        image.save(folder / f"{name}.png")
    return folder


@pytest.fixture
def new_dataset(little_photographs: Path, tmp_path: Path) -> MakeDataset:
    """Makes a home that knows its photographs, and nothing else: `new_dataset("name", storage_url=None)`."""
    return lambda name, **config: _new(tmp_path / name, little_photographs, **config)


@pytest.fixture(scope="session")
def undisturbed(little_photographs: Path, tmp_path_factory: pytest.TempPathFactory, tiny: LoadedModel) -> Dataset:
    """All shards, made in this process with nothing in the way."""
    torch.set_num_threads(1)  # the encoder's last bit depends on it
    dataset = _new(tmp_path_factory.mktemp("undisturbed") / "home", little_photographs)
    for shard in list_shards(dataset.storage):
        make_raw_images(dataset, shard)
        make_image_embeddings(dataset, shard, tiny)
        make_candidate_masks(dataset, shard, tiny)
        make_filtered_masks(dataset, shard)
        make_deduplicated_masks(dataset, shard)
        make_sa1b_export(dataset, shard)
    return dataset


@pytest.fixture
def copied(undisturbed: Dataset, tmp_path: Path) -> Dataset:
    """A copy of `undisturbed` for one test."""
    torch.set_num_threads(1)
    shutil.copytree(undisturbed.home, tmp_path / "copied")
    return open_dataset(tmp_path / "copied")


def digests(dataset: Dataset, shards: list[str] | None = None) -> dict[str, str]:
    """Of all files that there are of those that the shards, by default all, are made into."""
    shards = list_shards(dataset.storage) if shards is None else shards
    names = [artifact_name(asset, shard) for asset in AssetName for shard in shards]
    names += map(export_tar_name, shards)
    return {name: dataset.storage.digest(name) for name in names if dataset.storage.exists(name)}


def left_aside(dataset: Dataset) -> list[Path]:
    """Files of a home that are incomplete or of single images, which nobody needs once the shards are done."""
    return [path for path in dataset.home.rglob("*") if ".aside-" in path.name or path.parent.parent.name == "parts"]


def environment_of(dataset: Dataset) -> dict[str, str]:
    """For processes that work on a dataset."""
    homes = {"DAGSTER_HOME": str(dataset.dagster_home), "SA_PIPELINE_HOME": str(dataset.home)}
    return os.environ | homes | {"OMP_NUM_THREADS": "1"}


def _new(home: Path, photographs: Path, **config: object) -> Dataset:
    masks = SMALL_MASKS.model_copy(update={"points_per_side": 8})
    settings = PipelineSettings(images=ImageSettings(images_per_shard=1), masks=masks)
    dataset = open_dataset(home, DatasetConfig(source=str(photographs), settings=settings, **config))
    save_config(dataset)
    append_new_images(dataset.storage, str(photographs), settings.images)
    return dataset
