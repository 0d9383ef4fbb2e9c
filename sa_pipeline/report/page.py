"""The report: one HTML page with overlays, the funnel, and what was rejected."""

import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from PIL import Image

from sa_pipeline.artifacts import AssetName, read_header, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.report.funnel import funnel_of
from sa_pipeline.report.histograms import funnel_chart, score_histograms
from sa_pipeline.report.html import render
from sa_pipeline.report.overlays import draw_masks, exported_counts
from sa_pipeline.report.png import jpeg_bytes, png_bytes
from sa_pipeline.stages.shard_images import iterate_images
from sa_pipeline.storage import Storage

MAX_IMAGES_SHOWN = 200
MAX_SIDE = 1000
REPORT_FOLDER = "report"
FUNNEL_FILE = "funnel.png"
SCORES_FILE = "scores.png"


@dataclass(frozen=True)
class ShownImage:
    """An image on the page; overlay and plain are paths relative to it."""

    name: str
    uri: str
    masks: int
    overlay: str
    plain: str


def write_report(dataset: Dataset, progress: Progress | None = None) -> Path:
    """Writes `report/index.html` and its pictures into the dataset's home.

    Args:
        dataset: Shards of which not all files exist are passed over.
        progress: Shows the images that are drawn.

    Returns:
        The page. It is written last, so that it never names a picture that is missing.

    Raises:
        StorageError: A file cannot be written.
    """
    home = Storage(dataset.home)
    shards = [
        shard
        for shard in list_shards(dataset.storage)
        if read_header(dataset.storage, AssetName.SA1B_EXPORT, shard) is not None
    ]
    counts, checkpoints = _sums(dataset, shards)
    shown, rejected, candidates = _look(dataset, shards, home, progress or SilentProgress())
    home.write_bytes(f"{REPORT_FOLDER}/{FUNNEL_FILE}", png_bytes(funnel_chart(funnel_of(counts))))
    scores = score_histograms(candidates, dataset.settings.masks)
    home.write_bytes(f"{REPORT_FOLDER}/{SCORES_FILE}", png_bytes(scores))
    images, masks = (counts[AssetName.SA1B_EXPORT][name] for name in ("images", "masks"))
    page = render(
        "report.html.j2",
        images=images,
        masks=masks,
        per_image=round(masks / images, 1) if images else 0,
        shards=len(shards),
        source=dataset.config.source,
        home=dataset.home,
        exports=dataset.storage.url_of(AssetName.SA1B_EXPORT),
        catalog=dataset.catalog_path,
        checkpoints=sorted(checkpoints),
        shown=shown,
        rejected=rejected,
        funnel=FUNNEL_FILE,
        scores=SCORES_FILE,
        settings=yaml.safe_dump(dataset.settings.model_dump(mode="json", exclude={"studio"}), sort_keys=False),
    )
    home.write_bytes(f"{REPORT_FOLDER}/index.html", page)
    return dataset.home / REPORT_FOLDER / "index.html"


def _sums(dataset: Dataset, shards: list[str]) -> tuple[dict[AssetName, Counter[str]], set[str]]:
    counts: dict[AssetName, Counter[str]] = {asset: Counter() for asset in AssetName}
    checkpoints: set[str] = set()
    for shard, asset in itertools.product(shards, AssetName):
        header = read_header(dataset.storage, asset, shard)
        if header is not None:
            counts[asset].update(header.counts)
            if header.checkpoint is not None:
                checkpoints.add(f"{header.checkpoint.name} ({header.checkpoint.digest})")
    return counts, checkpoints


def _look(
    dataset: Dataset, shards: list[str], home: Storage, progress: Progress
) -> tuple[list[ShownImage], list[dict[str, Any]], pa.Table]:
    shown: list[ShownImage] = []
    rejected: list[dict[str, Any]] = []
    candidates = []
    for shard in progress.track(shards, description="report", total=len(shards)):
        rows = read_table(
            dataset.storage,
            AssetName.RAW_IMAGES,
            shard,
            columns=["image_id", "source_uri", "status", "reason", "detail"],
        ).to_pylist()
        rejected.extend(row for row in rows if row["status"] == "rejected")
        columns = ["predicted_iou", "stability_score", "area", "size"]
        candidates.append(read_table(dataset.storage, AssetName.CANDIDATE_MASKS, shard, columns=columns))
        if len(shown) < MAX_IMAGES_SHOWN:
            uris = {row["image_id"]: row["source_uri"] for row in rows}
            shown.extend(_draw(dataset, shard, home, uris, MAX_IMAGES_SHOWN - len(shown)))
    return shown, rejected, pa.concat_tables(candidates) if candidates else _no_candidates()


def _draw(dataset: Dataset, shard: str, home: Storage, uris: dict[int, str], at_most: int) -> list[ShownImage]:
    shown = []
    for image in itertools.islice(iterate_images(dataset, shard), at_most):
        counts = exported_counts(dataset, shard, image.image_id)
        pixels = image.pixels
        names = {}
        for kind, picture in (("plain", pixels), ("overlay", draw_masks(pixels, counts))):
            small = Image.fromarray(picture)
            small.thumbnail((MAX_SIDE, MAX_SIDE))
            names[kind] = f"{kind}/{image.file_name}"
            home.write_bytes(f"{REPORT_FOLDER}/{names[kind]}", jpeg_bytes(small))
        shown.append(ShownImage(image.file_name, uris[image.image_id], len(counts), names["overlay"], names["plain"]))
    return shown


def _no_candidates() -> pa.Table:
    return pa.table(
        {
            "predicted_iou": pa.array([], pa.float32()),
            "stability_score": pa.array([], pa.float32()),
            "area": pa.array([], pa.int64()),
            "size": pa.array([], pa.list_(pa.int32(), 2)),
        }
    )
