"""A dataset of small photographs with embeddings, and rounds of masks that count as people's."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import skimage.segmentation
from PIL import Image

from sa_pipeline.annotated.references import ReferenceMask, ReferenceMasks
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.settings import ImageSettings, PipelineSettings, RoundsSettings
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.decoder import ensure_decoder
from sa_pipeline.studio.importing import ImportAs, import_masks
from sa_pipeline.studio.matching import ImageIndex
from sa_pipeline.training.held_out import is_held_out
from sa_pipeline_tests.conftest import SMALL_MASKS

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
HELD_OUT = 1
"""Of the photographs."""

TRAINING = {
    "steps": 3,
    "images": 1,
    "masks": 3,
    "corrections": 1,
    "repeats": 0,
    "input_size": 128,
    "jitter": None,
    "learning_rate": 1e-6,
    "learning_rate_images": None,
}
"""A handful of steps that hardly change the weights."""

CopyHome = Callable[[Path], Dataset]


@pytest.fixture(scope="session")
def embedded_home(tmp_path_factory: pytest.TempPathFactory, tiny: LoadedModel) -> CopyHome:
    """Copies a dataset of four photographs of 160 px in two shards, of which one photograph is held out."""
    made = tmp_path_factory.mktemp("rounds")
    photographs = made / "photographs"
    photographs.mkdir()
    for name in PHOTOGRAPHS:
        image = Image.fromarray(getattr(skimage.data, name)())
        image.thumbnail((160, 160))
        image.save(photographs / f"{name}.png")
    rounds = RoundsSettings(
        held_out_share=_share(photographs), training=TRAINING, not_worse_by=0.05, max_segments_per_image=2
    )
    settings = PipelineSettings(images=ImageSettings(images_per_shard=2), masks=SMALL_MASKS, rounds=rounds)
    dataset = open_dataset(made / "home", DatasetConfig(source=str(photographs), settings=settings))
    append_new_images(dataset.storage, str(photographs), settings.images)
    for shard in list_shards(dataset.storage):
        make_raw_images(dataset, shard)
        make_image_embeddings(dataset, shard, tiny)
    ensure_decoder(dataset, "tiny")
    save_config(dataset)

    def copy(home: Path) -> Dataset:
        shutil.copytree(dataset.home, home)
        return open_dataset(home, dataset.config)

    return copy


@pytest.fixture
def rounds_dataset(embedded_home: CopyHome, tmp_path: Path) -> Dataset:
    """A copy of `embedded_home` for one test."""
    return embedded_home(tmp_path / "home")


def held_out_names(dataset: Dataset) -> set[str]:
    """Names of the photographs that are held out."""
    share = dataset.settings.rounds.held_out_share
    files = Path(str(dataset.config.source)).glob("*.png")
    return {file.stem for file in files if is_held_out(_digest(file), share)}


def import_accepted(dataset: Dataset, round_name: str, names: Sequence[str] = PHOTOGRAPHS, people: int = 1) -> None:
    """Imports segments of photographs as the accepted masks of a round, of so many people each."""
    studio = open_studio(dataset)
    source = Path(str(dataset.config.source))
    references = [_reference(source / f"{name}.png", people) for name in names]
    report = import_masks(studio, references, round_name, ImportAs.ACCEPTED, ImageIndex(dataset, by_bytes=False))
    studio.close()
    assert report.counts["tasks"] == people * len(names), report.describe()


def _share(photographs: Path) -> float:
    """The share that holds out as many photographs as there shall be."""
    places = sorted(int(_digest(file), 16) / 16**64 for file in photographs.glob("*.png"))
    return (places[HELD_OUT - 1] + places[HELD_OUT]) / 2


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _reference(file: Path, people: int) -> ReferenceMasks:
    """The larger regions of a classical segmentation; the second person sees finer ones, and so on."""
    image = np.asarray(Image.open(file).convert("RGB"))
    seen = []
    for person in range(people):
        labels = skimage.segmentation.felzenszwalb(image, scale=300 / (1 + person), sigma=1, min_size=150)
        regions = [labels == label for label in np.unique(labels)][:4]
        seen.append(tuple(ReferenceMask(mask_to_counts(region)) for region in regions))
    return ReferenceMasks(file.name, image.shape[:2], tuple(seen))
