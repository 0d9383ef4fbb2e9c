"""What the encoder sees: a shard's embeddings as colours."""

import itertools

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import safe_open

from sa_pipeline.artifacts import AssetName, artifact_name
from sa_pipeline.dataset import Dataset
from sa_pipeline.stages.shard_images import iterate_images

EDGE_PERCENT = 1.0
"""Percentiles this far from the ends become black and white, so that an outlier does not grey the rest."""


def embedding_colours(embedding: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """The first three principal components of an embedding as red, green and blue.

    Args:
        embedding: (C, h, w), floats, C of at least 3.

    Returns:
        (h, w, 3) uint8. Places of like colour have like features; a constant embedding is black.
    """
    channels, height, width = embedding.shape
    # Whether an embedding is finite is for the checks to say; a picture of a broken one must not fail.
    features = np.nan_to_num(embedding.reshape(channels, -1).T.astype(np.float64), posinf=0.0, neginf=0.0)
    features -= features.mean(axis=0)
    _, axes = np.linalg.eigh(features.T @ features)
    axes = axes[:, :-4:-1]
    # The sign of an eigenvector is the library's whim; the same embedding shall have the same colours anywhere.
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), range(3)] < 0, -1.0, 1.0)
    components = features @ axes
    low, high = np.percentile(components, [EDGE_PERCENT, 100 - EDGE_PERCENT], axis=0)
    span = np.where(high - low > 1e-9, high - low, np.inf)
    colours = np.clip((components - low) / span, 0.0, 1.0)
    return (255 * colours).round().astype(np.uint8).reshape(height, width, 3)


def embedding_sheet(dataset: Dataset, shard: str, max_images: int = 8, tile: int = 112) -> Image.Image:
    """The first images of a shard, each above its embedding.

    The encoder pads an image to a square on the right and below; the padding is cut from the picture.

    Args:
        dataset: The dataset.
        shard: The partition.
        max_images: Columns at most.
        tile: px, the longer side of a picture.

    Raises:
        ArtifactError: `raw_images` was not made or is damaged.
        StorageError: `image_embeddings` was not made.
    """
    columns = []
    name = artifact_name(AssetName.IMAGE_EMBEDDINGS, shard)
    with dataset.storage.local_copy(name) as path, safe_open(path, framework="np") as file:
        for image in itertools.islice(iterate_images(dataset, shard), max_images):
            thumbnail = Image.fromarray(image.pixels)
            thumbnail.thumbnail((tile, tile))
            embedding = file.get_tensor(str(image.image_id))
            scale = max(embedding.shape[1:]) / max(image.width, image.height)
            rows, across = max(1, round(image.height * scale)), max(1, round(image.width * scale))
            colours = Image.fromarray(embedding_colours(embedding[:, :rows, :across]))
            columns.append((thumbnail, colours.resize(thumbnail.size, Image.Resampling.NEAREST)))
    sheet = Image.new("RGB", (max(1, len(columns)) * tile, 2 * tile), "white")
    for index, pictures in enumerate(columns):
        for row, picture in enumerate(pictures):
            sheet.paste(picture, (index * tile, row * tile))
    return sheet
