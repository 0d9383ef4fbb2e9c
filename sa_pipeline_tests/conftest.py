"""Fixtures: real photographs made small, a dataset of them, and the built-in model."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image
from s3fs import S3FileSystem

from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.sam.registry import LoadedModel, load_model
from sa_pipeline.settings import EmbeddingSettings, ImageSettings, MaskSettings, PipelineSettings
from sa_pipeline_tests.disks import mounted_disk
from sa_pipeline_tests.s3_server import S3Bucket, S3Server, running_s3

SMALL_MASKS = MaskSettings(
    points_per_side=6,
    pred_iou_thresh=0.3,
    stability_score_thresh=0.6,
    pred_iou_floor=0.1,
    stability_score_floor=0.4,
    min_mask_region_area=30,
    max_image_cover=0.95,
    min_area=1,
    drop_small_masks=True,
)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny() -> LoadedModel:
    return load_model("tiny")


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """Five photographs of 160 px and a file that is no image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("astronaut", "chelsea", "coffee", "rocket", "camera"):
        image = Image.fromarray(getattr(skimage.data, name)())
        image.thumbnail((160, 160))
        image.save(folder / f"{name}.png")
    (folder / "broken.jpg").write_bytes(b"no image at all")
    return folder


@pytest.fixture
def dataset(tmp_path: Path, photo_folder: Path) -> Dataset:
    settings = PipelineSettings(
        images=ImageSettings(images_per_shard=3), embeddings=EmbeddingSettings(), masks=SMALL_MASKS
    )
    return open_dataset(tmp_path / "home", DatasetConfig(source=str(photo_folder), settings=settings))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own (`sa_pipeline_tests.disks`); skips where this process may not mount one."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    with mounted_disk(folder):
        yield folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Bucket:
    """An empty bucket of a server without faults, which the environment names."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()  # one that was made for another endpoint
    s3_server.heal()
    bucket = S3Bucket(s3_server, f"bucket-{uuid.uuid4().hex[:12]}")
    s3_server.make_bucket(bucket.name)
    return bucket
