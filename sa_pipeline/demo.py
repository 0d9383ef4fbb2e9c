"""Photographs for a first run, taken from an installed package."""

import shutil
from importlib.resources import as_file, files
from pathlib import Path

from sa_pipeline.dataset import Dataset, open_dataset
from sa_pipeline.errors import SettingsError
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.settings import PipelineSettings

DEMO_IMAGES = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "rocket.jpg")
"""Shipped in scikit-image's wheel; public domain or CC0, as its `data/README.txt` says."""


def copy_demo_images(folder: Path) -> list[Path]:
    """Copies the demo's photographs into a folder; those that are there already stay.

    Args:
        folder: Made if missing.

    Returns:
        Their paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in DEMO_IMAGES:
        target = folder / name
        if not target.exists():
            with as_file(files("skimage.data") / name) as source:
                shutil.copyfile(source, target)
        paths.append(target)
    return paths


def with_demo_images(dataset: Dataset, settings: PipelineSettings) -> Dataset:
    """A dataset, wherever it lies, with the demo's photographs as its source, which are copied into its home.

    Args:
        dataset: One without images, or of the demo already.
        settings: What it has from now on.

    Raises:
        SettingsError: It is of other images, among which the demo's would stay for good.
    """
    folder = dataset.home / "demo_images"
    known = dataset.config.source
    if known != str(folder) and (known is not None or list_shards(dataset.storage)):
        raise SettingsError(
            f"{dataset.storage.url_of('')} is a dataset of other images ({known or 'no source is set'}); name a new "
            "folder for the demo's, and unset SA_PIPELINE_STORAGE and SA_PIPELINE_SOURCE if they are set."
        )
    copy_demo_images(folder)
    changed = dataset.config.model_copy(update={"source": str(folder), "settings": settings})
    return open_dataset(dataset.home, changed)
