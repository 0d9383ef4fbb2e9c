"""A shard's images at a glance, rejected files included."""

import io
import itertools
import textwrap

from PIL import Image, ImageDraw

from sa_pipeline.dataset import Dataset
from sa_pipeline.images.stored import iterate_rows

TILES_PER_ROW = 8
_COLUMNS = ["image_id", "status", "reason", "jpeg"]


def contact_sheet(dataset: Dataset, shard: str, max_images: int = 64, tile: int = 112) -> Image.Image:
    """Thumbnails of a shard; a rejected file is a grey tile with its reason.

    Args:
        dataset: The dataset.
        shard: The partition.
        max_images: Tiles at most.
        tile: px, side of a tile.

    Raises:
        ArtifactError: `raw_images`, or `deidentified_images` where it is switched on, was not made or is damaged.
    """
    tiles = [_tile(row, tile) for row in itertools.islice(iterate_rows(dataset, shard, _COLUMNS), max_images)]
    columns = min(TILES_PER_ROW, max(1, len(tiles)))
    rows = max(1, -(-len(tiles) // columns))
    sheet = Image.new("RGB", (columns * tile, rows * tile), "white")
    for index, picture in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(picture, (column * tile, row * tile))
    return sheet


def _tile(row: dict[str, object], side: int) -> Image.Image:
    picture = Image.new("RGB", (side, side), "white")
    if row["status"] == "ok" and isinstance(row["jpeg"], bytes):
        thumbnail = Image.open(io.BytesIO(row["jpeg"]))
        thumbnail.thumbnail((side - 4, side - 4))
        picture.paste(thumbnail, ((side - thumbnail.width) // 2, (side - thumbnail.height) // 2))
    else:
        ImageDraw.Draw(picture).rectangle((2, 2, side - 3, side - 3), fill="#d0d0d0")
        text = "\n".join(textwrap.wrap(f"{row['image_id']} {str(row['reason']).replace('_', ' ')}", 14))
        ImageDraw.Draw(picture).text((8, 8), text, fill="black")
    return picture
