"""Peak memory of a run over 10, 30, 100 and 300 images, beside the official generator looped over the same images.

    python benchmarks/memory.py                      # pieces cut from scikit-image's photographs
    python benchmarks/memory.py --images photos      # images of a folder

Each number is the peak resident set of a fresh process that did the whole job: ours is what `sa-pipeline run` does,
from listing the folder to the catalogue and the report; the peer's is `SamAutomaticMaskGenerator` on one image after
another, with one JSON file of masks an image. Both use the same model, points, thresholds and number of threads.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = (10, 30, 100, 300)
SUFFIXES = {".jpg", ".jpeg", ".png"}
PIECE = (321, 481)
"""Height and width of a generated image, px."""

IMAGES_PER_SHARD = 20_000
"""All images lie in one shard, the hardest case: what a shard held in memory would show."""

COLUMNS = {"sa-pipeline": "ours", "official generator": "peer"}
"""What is measured, by the table's heading."""

AMG_ARGUMENTS = ("pred_iou_thresh", "stability_score_thresh", "min_mask_region_area", "points_per_batch")


def main() -> None:
    """Measures every size in a process of its own and prints the table."""
    arguments = _parse()
    if arguments.measure:
        _measure(arguments.measure, arguments.images, arguments.work, arguments.points_per_side)
        return
    with tempfile.TemporaryDirectory(prefix="sa_pipeline-memory-") as scratch:
        images = _find(arguments.images) if arguments.images else _generate(Path(scratch) / "generated", max(SIZES))
        sizes = [size for size in SIZES if size <= len(images)] or [len(images)]
        print(f"Peak resident set in MiB; {arguments.points_per_side}x{arguments.points_per_side} points, tiny.\n")
        print("| images | " + " | ".join(COLUMNS) + " |")
        print("|---" * (len(COLUMNS) + 1) + "|", flush=True)
        peaks: dict[str, list[float]] = {mode: [] for mode in COLUMNS.values()}
        for size in sizes:
            folder = Path(scratch) / str(size)
            folder.mkdir()
            for index, path in enumerate(images[:size]):
                (folder / f"{index:04d}{path.suffix}").symlink_to(path)
            for mode, column in peaks.items():
                column.append(_in_a_fresh_process(mode, folder, Path(scratch) / f"{size}-{mode}", arguments))
            print(f"| {size} | " + " | ".join(f"{column[-1]:.0f}" for column in peaks.values()) + " |", flush=True)
        ratios = " | ".join(f"{column[-1] / column[0]:.2f}" for column in peaks.values())
        print(f"| {sizes[-1]}:{sizes[0]} | {ratios} |")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of images, searched recursively; default: generated")
    parser.add_argument("--points-per-side", type=int, default=4, help="of the grid (default: 4)")
    parser.add_argument("--measure", choices=COLUMNS.values(), help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_a_fresh_process(mode: str, folder: Path, work: Path, arguments: argparse.Namespace) -> float:
    options = ["--images", folder, "--work", work, "--points-per-side", arguments.points_per_side]
    command = [sys.executable, __file__, "--measure", mode, *map(str, options)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["peak_bytes"] / 1024**2


def _measure(mode: str, folder: Path, work: Path, points_per_side: int) -> None:
    {"ours": _run_ours, "peer": _run_peer}[mode](folder, work, points_per_side)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak_bytes": peak if sys.platform == "darwin" else peak * 1024}))


def _run_ours(folder: Path, work: Path, points_per_side: int) -> None:
    from sa_pipeline.dataset import DatasetConfig, open_dataset, save_config
    from sa_pipeline.progress import SilentProgress
    from sa_pipeline.shell_run import run_dataset

    settings = _settings(points_per_side)
    images = settings.images.model_copy(update={"images_per_shard": IMAGES_PER_SHARD})
    config = DatasetConfig(source=str(folder), settings=settings.model_copy(update={"images": images}))
    dataset = open_dataset(work, config)
    save_config(dataset)
    summary = run_dataset(dataset, SilentProgress())
    if summary.failures or summary.images != len(list(folder.iterdir())):
        sys.exit(f"The run is not complete: {summary}")


def _run_peer(folder: Path, work: Path, points_per_side: int) -> None:
    import numpy as np
    from PIL import Image
    from segment_anything import SamAutomaticMaskGenerator

    from sa_pipeline import load_checkpoint

    masks = _settings(points_per_side).masks
    chosen = {name: getattr(masks, name) for name in AMG_ARGUMENTS}
    generator = SamAutomaticMaskGenerator(
        load_checkpoint("tiny"), points_per_side=points_per_side, output_mode="coco_rle", **chosen
    )
    work.mkdir()
    for path in sorted(folder.iterdir()):
        annotations = generator.generate(np.asarray(Image.open(path).convert("RGB")))
        (work / f"{path.stem}.json").write_text(json.dumps(annotations))


def _settings(points_per_side: int) -> "PipelineSettings":  # noqa: F821  # loaded in the measured process alone
    from sa_pipeline.settings import preset

    fast = preset("fast")
    return fast.model_copy(update={"masks": fast.masks.model_copy(update={"points_per_side": points_per_side})})


def _find(folder: Path) -> list[Path]:
    found = sorted(path.resolve() for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        sys.exit(f"{folder} holds no {', '.join(sorted(SUFFIXES))}; name a folder of images.")
    return found


def _generate(folder: Path, count: int) -> list[Path]:
    """Cuts pieces of one size out of scikit-image's photographs; done elsewhere, so that this process stays small."""
    script = f"""
import numpy as np, skimage.data
from PIL import Image
rng = np.random.default_rng(0)
photos = [getattr(skimage.data, name)() for name in ("astronaut", "coffee", "rocket")]
for index in range({count}):
    photo = photos[index % len(photos)]
    zoom = rng.uniform(0.7, 1)
    height, width = (int(side * zoom) for side in {PIECE})
    y, x = (rng.integers(0, have - want + 1) for have, want in zip(photo.shape, (height, width)))
    piece = Image.fromarray(photo[y : y + height, x : x + width]).resize({PIECE[::-1]})
    piece.save(f"{folder}/{{index:04d}}.png")
"""
    folder.mkdir()
    subprocess.run([sys.executable, "-c", script], check=True)
    return sorted(folder.iterdir())


if __name__ == "__main__":
    main()
