"""A dataset of two shards of small photographs, made once by a real run, and copies of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from sa_pipeline.artifacts import AssetName
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
from sa_pipeline.verification.findings import VerificationReport
from sa_pipeline.verification.place import find_place
from sa_pipeline.verification.verify import verify
from sa_pipeline_tests.conftest import SMALL_MASKS

Copy = Callable[[Path], Path]


def found(report: VerificationReport) -> list[tuple[str, str]]:
    """Kind and file of every finding."""
    return [(finding.kind.value, Path(finding.file).name) for finding in report.findings]


def verified(where: Path) -> VerificationReport:
    return verify(find_place(str(where)))


@pytest.fixture(scope="session")
def run_home(tmp_path_factory: pytest.TempPathFactory, tiny: LoadedModel) -> Path:
    """Home of a dataset of three photographs and a file that is no image, in two shards."""
    made = tmp_path_factory.mktemp("verification")
    photographs = made / "photographs"
    photographs.mkdir()
    for name in ("astronaut", "chelsea", "coffee"):
        image = Image.fromarray(getattr(skimage.data, name)())
        image.thumbnail((80, 80))
        image.save(photographs / f"{name}.png")
    (photographs / "broken.jpg").write_bytes(b"no image at all")
    settings = PipelineSettings(images=ImageSettings(images_per_shard=2), masks=SMALL_MASKS)
    dataset = open_dataset(made / "home", DatasetConfig(source=str(photographs), settings=settings))
    append_new_images(dataset.storage, str(photographs), settings.images)
    for shard in list_shards(dataset.storage):
        make_automatic_stage(dataset, shard, tiny)
    save_config(dataset)
    return dataset.home


def make_automatic_stage(dataset: Dataset, shard: str, model: LoadedModel) -> None:
    make_raw_images(dataset, shard)
    make_image_embeddings(dataset, shard, model)
    make_candidate_masks(dataset, shard, model)
    make_filtered_masks(dataset, shard)
    make_deduplicated_masks(dataset, shard)
    make_sa1b_export(dataset, shard)


@pytest.fixture
def home(run_home: Path, tmp_path: Path) -> Path:
    """A copy of the home for one test."""
    return shutil.copytree(run_home, tmp_path / "home")


@pytest.fixture
def exports(run_home: Path, tmp_path: Path) -> Path:
    """A copy of the exports alone, for one test."""
    return shutil.copytree(run_home / AssetName.SA1B_EXPORT, tmp_path / "exports")
