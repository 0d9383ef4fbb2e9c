"""Training scenes as SA-1B tars: `python -m sa_pipeline.training.scene_shards --output DIR --scenes N`."""

import argparse
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.progress import TerminalProgress
from sa_pipeline.sa1b.records import Annotation, ImageInfo, Record, Segmentation, image_name
from sa_pipeline.sa1b.writer import ExportImage, write_shard
from sa_pipeline.training.composed import compose_scene
from sa_pipeline.training.photographs import Library, fetch_packages, load_library
from sa_pipeline.training.scenes import Scene, draw_scene

LONGER_SIDE = 512
SCENES_PER_SHARD = 50
JPEG_QUALITY = 92
MAX_OBJECTS = 6

PHOTOGRAPH_SHARE, COMPOSED_SHARE = 0.4, 0.4
"""Shares of plain photographs and of photographs with pasted objects; the rest is drawn."""


def main() -> None:
    """Parses the command line, fetches the photographs and writes the shards that are missing."""
    parser = argparse.ArgumentParser(prog="sa_pipeline.training.scene_shards", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of scenes_000000.tar and so on")
    parser.add_argument("--photographs", type=Path, required=True, help="folder for the packages with photographs")
    parser.add_argument("--scenes", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    progress = TerminalProgress()
    # Before the first use: a forked process would wait for threads that it does not have.
    cv2.setNumThreads(1)
    fetch_packages(given.photographs, progress)
    shards = range(given.scenes // SCENES_PER_SHARD)
    paths = [given.output / f"scenes_{shard:06d}.tar" for shard in shards]
    missing = [(shard, path) for shard, path in zip(shards, paths, strict=True) if not path.exists()]
    if not missing:
        return
    _in_worker.library, _in_worker.seed = load_library(given.photographs), given.seed
    # Forked, so that the photographs are in memory once.
    with multiprocessing.get_context("fork").Pool(given.processes) as pool:
        list(progress.track(pool.imap(_write_shard, missing), description="scene shards", total=len(missing)))


class _in_worker:  # noqa: N801
    """What a forked worker finds in its memory."""

    library: Library
    seed: int


def _write_shard(task: tuple[int, Path]) -> None:
    shard, path = task
    aside = path.with_name(f".{path.name}.aside")
    write_shard(aside, _scenes(shard, _in_worker.library, _in_worker.seed))
    aside.replace(path)


def _scenes(shard: int, library: Library, seed: int) -> Iterator[ExportImage]:
    for number in range(shard * SCENES_PER_SHARD, (shard + 1) * SCENES_PER_SHARD):
        yield export_scene(make_scene((seed, number), library), number)


def make_scene(seed: tuple[int, ...], library: Library) -> Scene:
    """Makes a scene of random kind and aspect ratio, `LONGER_SIDE` px on its longer side."""
    rng = np.random.default_rng((*seed, 1))
    shorter = int(LONGER_SIDE * rng.uniform(0.6, 1.0))
    size = (shorter, LONGER_SIDE) if rng.random() < 0.7 else (LONGER_SIDE, shorter)
    kind = rng.random()
    if kind < PHOTOGRAPH_SHARE:
        return compose_scene(seed, size, library, objects=0)
    if kind < PHOTOGRAPH_SHARE + COMPOSED_SHARE:
        return compose_scene(seed, size, library, objects=int(rng.integers(1, MAX_OBJECTS + 1)))
    return draw_scene(seed, size, difficulty=float(rng.uniform(0.3, 1.0)))


def export_scene(scene: Scene, number: int) -> ExportImage:
    """Puts a scene into SA-1B's form; `predicted_iou` holds the masks' weights, `point_coords` a pixel of each."""
    height, width = scene.masks.shape[1:]
    annotations = []
    for index, (mask, weight) in enumerate(zip(scene.masks, scene.weights, strict=True)):
        rows, columns = np.nonzero(mask)
        box = (float(columns.min()), float(rows.min()), float(np.ptp(columns)), float(np.ptp(rows)))
        annotations.append(
            Annotation(
                bbox=box,
                area=len(rows),
                segmentation=Segmentation(size=(height, width), counts=mask_to_counts(mask)),
                predicted_iou=float(weight),
                point_coords=((float(columns[0]), float(rows[0])),),
                crop_box=(0.0, 0.0, float(width), float(height)),
                id=number * 1000 + index,
                stability_score=1.0,
            )
        )
    info = ImageInfo(image_id=number, width=width, height=height, file_name=image_name(number))
    quality = [int(cv2.IMWRITE_JPEG_QUALITY), JPEG_QUALITY]
    encoded = cv2.imencode(".jpg", scene.image[..., ::-1], quality)[1]
    return ExportImage(encoded.tobytes(), Record(image=info, annotations=tuple(annotations)))


if __name__ == "__main__":
    main()
