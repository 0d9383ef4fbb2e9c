"""A small exported dataset with a catalogue, made once for all tests of the cards."""

import shutil
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from sa_pipeline.catalog.build import build_catalog
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
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

HOSTILE = 'a <script>alert("x")</script> | b & `c`'


@pytest.fixture(scope="session")
def exported_home(tmp_path_factory: pytest.TempPathFactory, tiny: LoadedModel) -> Dataset:
    """Four photographs and a broken file in two folders, two shards; one photograph is brought down in size."""
    made = tmp_path_factory.mktemp("exported")
    for name, folder, side in (
        ("astronaut", "day 1", 120),
        ("chelsea", "day 1", 300),
        ("coffee", "day 2", 120),
        ("rocket", "day 2", 120),
    ):
        image = Image.fromarray(getattr(skimage.data, name)())
        image.thumbnail((side, side))
        (made / "photos" / folder).mkdir(parents=True, exist_ok=True)
        image.save(made / "photos" / folder / f"{name}.png")
    (made / "photos" / "day 2" / "broken.jpg").write_bytes(b"no image at all")
    images = ImageSettings(images_per_shard=3, max_shorter_side=120)
    config = DatasetConfig(source=str(made / "photos"), settings=PipelineSettings(images=images, masks=SMALL_MASKS))
    dataset = open_dataset(made / "home", config)
    append_new_images(dataset.storage, config.source, config.settings.images)
    for shard in list_shards(dataset.storage):
        make_raw_images(dataset, shard)
        make_image_embeddings(dataset, shard, tiny)
        make_candidate_masks(dataset, shard, tiny)
        make_filtered_masks(dataset, shard)
        make_deduplicated_masks(dataset, shard)
        make_sa1b_export(dataset, shard)
    build_catalog(dataset)
    return dataset


@pytest.fixture
def exported(exported_home: Dataset, tmp_path: Path) -> Dataset:
    """A copy of `exported_home` that a test may change."""
    shutil.copytree(exported_home.home, tmp_path / "home")
    return open_dataset(tmp_path / "home", exported_home.config)
