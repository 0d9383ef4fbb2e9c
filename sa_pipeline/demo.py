"""Photographs for a first run, taken from an installed package."""

import shutil
from importlib.resources import as_file, files
from pathlib import Path

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
